/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The revocation protocol, design.md section 4: one key, two contents.
 *
 * A is a content that is written and snapshotted, B its snapshot. A page is a
 * number that is never used again, so a stale one is told from a new one.
 *
 *	data, shares, refs, locked	of a page: payload, share count, foreign
 *					holders (pipe, device), page lock
 *	leaf, lrefs, slot, wr, mine	the leaf that a content reaches; its
 *					references, its one slot, its bits
 *	epoch, lepoch			of contents and leaves
 *	pte, pw, pd			a content's PTE: page, writable, dirty
 *	readers, excl			content locks
 *
 * Left out: the tree above the leaf (a path is exclusive or not, as the leaf
 * is), memory (allocation succeeds), and the leaf lock (its sections are
 * atomic here). Spin's memory is sequentially consistent: a missing barrier is
 * modelled as its two sides changing places.
 *
 * Each SCENARIO has its processes in init. A MUT_ drops one step of one rule and
 * has to fail; REACH_ asserts false where the scenario is meant to come by, and
 * has to fail as well.
 */
#define NP	9	/* pages; 0 is none, 1 the zero page */
#define NL	5	/* leaves; 0 is none */
#define ZERO	1
#define A	0
#define B	1

byte data[NP], shares[NP], refs[NP];
bool locked[NP];
byte next_page = 2, next_leaf = 1;
byte leaf[2], lrefs[NL], slot[NL], lepoch[NL];
bool wr[NL], mine[NL];
byte epoch[2], next_epoch = 1;
byte pte[2];
bool pw[2], pd[2];
byte readers[2];
bool excl[2];
bool zero_mapped[2];

byte writes;		/* stores by A's writer, in order: the payload is the count */
bool snapped;		/* the snapshot has returned */
byte snap_value;	/* what it holds */
bool b_closed;
bool decommitted;

/* ---- locks --------------------------------------------------------------- */

inline lock_shared(c)	{ atomic { !excl[c] -> readers[c]++ } }
inline unlock_shared(c)	{ readers[c]-- }
inline lock_excl(c)	{ atomic { !excl[c] && readers[c] == 0 -> excl[c] = true } }
inline unlock_excl(c)	{ excl[c] = false }
inline downgrade(c)	{ atomic { excl[c] = false; readers[c]++ } }
inline lock_page(p)	{ atomic { !locked[p] -> locked[p] = true } }
inline unlock_page(p)	{ locked[p] = false }
inline wait_page(p)	{ !locked[p] }

/* ---- pages and leaves ---------------------------------------------------- */

inline alloc_page(p)
{
	atomic {
		assert(next_page < NP);
		p = next_page;
		next_page++;
		shares[p] = 1;
	}
}

/* Who gives a page up must have removed its PTEs. */
inline drop_share(p)
{
	atomic {
		shares[p]--;
		assert(shares[p] > 0 || (pte[A] != p && pte[B] != p))
	}
}

inline zap(c)
{
	atomic { pte[c] = 0; pw[c] = false; pd[c] = false }
}

/* The core, after a handler returned the page locked. */
inline install(c, p, w)
{
	atomic {
		if
		:: pte[c] == 0 || pte[c] == p ->
			pte[c] = p;
			pw[c] = pw[c] || w;
			pd[c] = pd[c] || w
		:: else
		fi
	}
}

inline own_path(c)
{
	unlock_shared(c);
	lock_excl(c);
	atomic {
		if
		:: lrefs[leaf[c]] > 1 ->
			assert(next_leaf < NL);
			lrefs[leaf[c]]--;
			lrefs[next_leaf] = 1;
			slot[next_leaf] = slot[leaf[c]];
			if
			:: slot[leaf[c]] != 0 -> shares[slot[leaf[c]]]++
			:: else
			fi;
			leaf[c] = next_leaf;
			next_leaf++
		:: else
		fi
	};
	downgrade(c)
}

inline set_ours(c, w)
{
	lepoch[leaf[c]] = epoch[c];
	mine[leaf[c]] = true;
	wr[leaf[c]] = wr[leaf[c]] || w
}

/* Is anybody outside of the tree holding it? A PTE has a reference as well. */
#define held(p)		(refs[p] > 0 || pte[A] == p || pte[B] == p)
#define known_ours(c, p) (shares[p] == 1 && (wr[leaf[c]] || \
			  (mine[leaf[c]] && lepoch[leaf[c]] == epoch[c])))

inline filled(c)
{
	if
	:: zero_mapped[c] ->
#ifndef MUT_9_NO_WAIT
		wait_page(ZERO);
#endif
#ifndef MUT_9_NO_ZAP
		zap(c)
#else
		skip
#endif
	:: else
	fi
}

/* Makes the page of c ours: pg, locked. Content lock shared. */
inline own(c, w)
{
	got = false;
	do
	:: got -> break
	:: !got && lrefs[leaf[c]] > 1 -> own_path(c)
	:: !got && lrefs[leaf[c]] == 1 && slot[leaf[c]] == 0 ->
		alloc_page(nw);
		locked[nw] = true;
		atomic {
			if
			:: slot[leaf[c]] == 0 ->
				slot[leaf[c]] = nw;
				set_ours(c, w);
				pg = nw;
				got = true
			:: else -> shares[nw] = 0
			fi
		};
		if
		:: got -> filled(c)
		:: else
		fi
	:: !got && lrefs[leaf[c]] == 1 && slot[leaf[c]] != 0 ->
		pg = slot[leaf[c]];
#ifndef MUT_3_COW_UNLOCKED
		lock_page(pg);
#endif
		if
		:: slot[leaf[c]] != pg -> unlock_page(pg)
		:: slot[leaf[c]] == pg && known_ours(c, pg) ->
			atomic { set_ours(c, w); got = true }
		:: slot[leaf[c]] == pg && !known_ours(c, pg) ->
			cow_or_check(c, w)
		fi
	od
}

inline cow_or_check(c, w)
{
	if
	:: shares[pg] == 1 ->
		if
		:: pte[c] == pg -> zap(c)
		:: else
		fi
	:: else
	fi;
	if
#ifdef MUT_OURS_COUNTS
	:: shares[pg] == 1 ->
#else
	:: shares[pg] == 1 && !held(pg) ->
#endif
		atomic { set_ours(c, w); got = true }
	:: else ->
		alloc_page(nw);
		data[nw] = data[pg];
		locked[nw] = true;
		atomic { slot[leaf[c]] = nw; wr[leaf[c]] = false; set_ours(c, w) };
#ifdef MUT_3_NO_ZAP
		skip;
#else
		if
		:: pte[c] == pg -> zap(c)
		:: else
		fi;
#endif
		drop_share(pg);
		unlock_page(pg);
		pg = nw;
		got = true
	fi
}

/* ---- faults -------------------------------------------------------------- */

inline read_fault(c)
{
	lock_shared(c);
	pg = slot[leaf[c]];
	if
	:: pg != 0 ->
		lock_page(pg);
		if
#ifdef MUT_2_NO_RECHECK
		:: true ->
#else
		:: slot[leaf[c]] == pg ->
#endif
			unlock_shared(c);
			install(c, pg, false);
			unlock_page(pg)
#ifndef MUT_2_NO_RECHECK
		:: else ->
			unlock_page(pg);
			unlock_shared(c)
#endif
		fi
	:: else ->
#ifdef MUT_9_LATE_FLAG
		lock_page(ZERO);
		if
		:: slot[leaf[c]] == 0 ->
			zero_mapped[c] = true;
#else
		zero_mapped[c] = true;
		lock_page(ZERO);
		if
#ifdef MUT_9_NO_LOOK
		:: true ->
#else
		:: slot[leaf[c]] == 0 ->
#endif
#endif
			unlock_shared(c);
			install(c, ZERO, false);
			unlock_page(ZERO)
#ifndef MUT_9_NO_LOOK
		:: else ->
			unlock_page(ZERO);
			unlock_shared(c)
#endif
		fi
	fi
}

inline write_fault(c)
{
#ifdef MUT_1_PAGE_THEN_CONTENT
	/* From ->fault to page_mkwrite with the page still locked. */
	pg = slot[leaf[c]];
	lock_page(pg);
	lock_shared(c);
	wr[leaf[c]] = true;
	unlock_shared(c);
#else
	lock_shared(c);
	own(c, true);
	unlock_shared(c);
#endif
#ifdef MUT_2_UNLOCKED
	unlock_page(pg);
	install(c, pg, true)
#else
	install(c, pg, true);
	unlock_page(pg)
#endif
}

/* Fault-around: what can be locked at once, mapped read-only. */
inline batch(c)
{
	lock_shared(c);
	pg = slot[leaf[c]];
	if
	:: pg != 0 ->
#ifdef MUT_5_NO_TRYLOCK
		if
		:: slot[leaf[c]] == pg -> install(c, pg, false)
		:: else
		fi
#else
		if
		:: atomic { !locked[pg] -> locked[pg] = true };
			if
#ifdef MUT_5_NO_RECHECK
			:: true -> install(c, pg, false)
#else
			:: slot[leaf[c]] == pg -> install(c, pg, false)
			:: else
#endif
			fi;
			unlock_page(pg)
		:: locked[pg]
		fi
#endif
	:: else
	fi;
	unlock_shared(c)
}

/* ---- taking back --------------------------------------------------------- */

inline revoke_write(c)
{
#ifdef WITH_PROTECT
	/* Write-protect, then clean, until one round changes nothing. */
	do
	:: pw[c] || pd[c] ->
		pw[c] = false;
#ifdef MUT_4_NO_CLEAN
		break
#else
		pd[c] = false
#endif
	:: !pw[c] && !pd[c] -> break
	od
#else
	zap(c)
#endif
}

inline snapshot()
{
	before = writes;
	lock_excl(A);
#ifndef MUT_6_EPOCH
	atomic { epoch[A] = next_epoch; next_epoch++ };
#endif
	pg = slot[leaf[A]];
	got = false;
	if
#ifdef MUT_6_NO_REVOKE
	:: false
#endif
	:: wr[leaf[A]] ->
#ifndef MUT_6_NO_DRAIN
		wait_page(pg);
#endif
#ifndef MUT_6_NO_REVOKE
		revoke_write(A);
#endif
#ifndef MUT_7_SHARED
		if
		:: refs[pg] > 0 -> got = true
		:: else -> wr[leaf[A]] = false
		fi
#else
		wr[leaf[A]] = false
#endif
	:: else
	fi;
	atomic {
		epoch[B] = next_epoch;
		next_epoch++;
		if
		:: got ->
			nw = next_page;
			next_page++;
			shares[nw] = 1;
			data[nw] = data[pg];
			lrefs[next_leaf] = 1;
			slot[next_leaf] = nw;
			leaf[B] = next_leaf;
			next_leaf++
		:: else ->
			leaf[B] = leaf[A];
			lrefs[leaf[A]]++
		fi
	};
	unlock_excl(A);
	atomic {
		snap_value = 0;
		if
		:: slot[leaf[B]] != 0 -> snap_value = data[slot[leaf[B]]]
		:: else
		fi;
		snapped = true;
		assert(decommitted || (before <= snap_value && snap_value <= writes))
	}
}

/* What the snapshot holds stays what it was. */
inline check_snapshot()
{
	atomic {
		snapped && !b_closed ->
		assert(slot[leaf[B]] == 0 || data[slot[leaf[B]]] == snap_value)
	}
}

inline close_b()
{
	zap(B);
	atomic {
		b_closed = true;
		lrefs[leaf[B]]--;
		if
		:: lrefs[leaf[B]] == 0 && slot[leaf[B]] != 0 -> shares[slot[leaf[B]]]--
		:: else
		fi
	}
}

inline decommit()
{
	lock_excl(A);
	pg = slot[leaf[A]];
	if
	:: pg != 0 ->
		atomic {
			if
			:: lrefs[leaf[A]] > 1 ->
				lrefs[leaf[A]]--;
				lrefs[next_leaf] = 1;
				leaf[A] = next_leaf;
				next_leaf++;
				shares[pg]++
			:: else
			fi;
			decommitted = true;
			slot[leaf[A]] = 0;
			wr[leaf[A]] = false;
			mine[leaf[A]] = false
		};
#ifdef MUT_3_DROP_FIRST
		drop_share(pg);
#endif
#ifndef MUT_3_NO_WAIT
		wait_page(pg);
#endif
		zap(A);
#ifndef MUT_3_DROP_FIRST
		drop_share(pg);
#endif
	:: else
	fi;
	unlock_excl(A)
}

/* ---- processes ----------------------------------------------------------- */

/* A's program: stores through its mapping, numbered. */
proctype mapped_writer(byte n)
{
	byte pg, nw;
	bool got;

	do
	:: n == 0 -> break
	:: n > 0 ->
		if
		:: atomic {
			pw[A] ->
			writes++;
			data[pte[A]] = writes;
			pd[A] = true;
			n--
		   }
		:: !pw[A] -> write_fault(A)
		fi
	od
}

/* A's program: write(), then a read through the mapping must see it. */
proctype file_writer(byte n)
{
	byte pg, nw, mark;
	bool got;

	do
	:: n == 0 -> break
	:: n > 0 ->
		lock_shared(A);
		own(A, false);
		atomic { writes++; mark = writes; data[pg] = writes };
		unlock_page(pg);
		unlock_shared(A);
		/* A second CPU of the same program, told that write() returned. */
		atomic { assert(pte[A] == 0 || data[pte[A]] == mark) };
		n--
	od
}

proctype snapshotter(bool then_close)
{
	byte pg, nw, before;
	bool got;

	snapshot();
	if
	:: then_close -> close_b()
	:: else
	fi
}

proctype watcher()
{
	check_snapshot();
	check_snapshot()
}

proctype read_faulter(byte c; byte n)
{
	byte pg;

	do
	:: n == 0 -> break
	:: n > 0 -> read_fault(c); n--
	od
}

proctype batcher(byte n)
{
	byte pg;

	do
	:: n == 0 -> break
	:: n > 0 -> batch(A); n--
	od
}

/* mprotect(READ), mprotect(READ|WRITE): no fault for a dirty PTE. */
proctype mprotecter(byte n)
{
	do
	:: n == 0 -> break
	:: n > 0 ->
		atomic { pw[A] = false };
		atomic {
			if
			:: pte[A] != 0 && pd[A] -> pw[A] = true
			:: else
			fi
		};
		n--
	od
}

/* A device: gets at the page by a writable PTE, stores into it when it likes. */
proctype device()
{
	byte p;

	/* There may be no writable PTE any more; then it never starts. */
end_idle:
	atomic { pw[A] -> p = pte[A]; refs[p]++ };
	if
	:: atomic { writes++; data[p] = writes }
	:: skip
	fi;
	atomic { writes++; data[p] = writes };
	/* It is A's memory as long as A has not given it up. */
	assert(slot[leaf[A]] == p);
	refs[p]--
}

/* A pipe: takes the page of the snapshot through B's mapping, keeps it. */
proctype pipe_reader()
{
	byte pg, p, value;

	snapped;
	read_fault(B);
	atomic {
		if
		:: pte[B] > ZERO -> p = pte[B]; refs[p]++; value = data[p]
		:: else
		fi
	};
	close_b();
	do
	:: writes < 3 -> skip
	:: p != 0 -> assert(data[p] == value); break
	:: p == 0 -> break
	od
}

/* B writes as well: what A maps must never be B's. */
proctype b_writer()
{
	byte pg, nw;
	bool got;

	snapped;
	lock_shared(B);
	own(B, false);
	atomic { data[pg] = 100; snap_value = 100 };
	unlock_page(pg);
	unlock_shared(B)
}

proctype a_looker(byte n)
{
	do
	:: n == 0 -> break
	:: n > 0 -> atomic { assert(pte[A] == 0 || data[pte[A]] < 100); n-- }
	od
}

/* A gives the page up; then its mapping must not show it any more. */
proctype decommitter()
{
	byte pg, nw, old;
	bool got;

	old = slot[leaf[A]];
	decommit();
	assert(old == 0 || pte[A] != old)
}

/* ---- scenarios ----------------------------------------------------------- */

#define REACHED(cond)	atomic { (cond) -> assert(false) }

init
{
	atomic {
		/* A has a page that it wrote, in a leaf of its own. */
		epoch[A] = next_epoch;
		next_epoch++;
		leaf[A] = next_leaf;
		lrefs[next_leaf] = 1;
		next_leaf++;
		lepoch[leaf[A]] = epoch[A];
#ifndef HOLE
		slot[leaf[A]] = next_page;
		shares[next_page] = 1;
		next_page++;
		mine[leaf[A]] = true;
#endif
#if SCENARIO == 1	/* snapshot against stores through a mapping */
		run mapped_writer(3);
		run snapshotter(false);
		run watcher();
#ifdef WITH_PROTECT
		run mprotecter(2);
#endif
#elif SCENARIO == 2	/* write() that copies, faults and batches in A, B writes */
		run snapshotter(false);
		run file_writer(1);
		run read_faulter(A, 1);
		run batcher(1);
		run b_writer();
		run a_looker(1);
#elif SCENARIO == 3	/* decommit against faults and B */
		run snapshotter(false);
		run read_faulter(A, 1);
		run mapped_writer(1);
		run decommitter();
		run watcher();
#elif SCENARIO == 4	/* a device holds the page over a snapshot */
		run mapped_writer(2);
		run device();
		run snapshotter(false);
		run watcher();
#elif SCENARIO == 5	/* a pipe holds the page of a snapshot that closes */
		run snapshotter(false);
		run pipe_reader();
		run file_writer(2);
#elif SCENARIO == 6	/* a hole is mapped while it is filled */
		run read_faulter(A, 2);
		run file_writer(1);
		run batcher(1);
#elif SCENARIO == 7	/* the same by a store, and a snapshot of the hole */
		run read_faulter(A, 1);
		run mapped_writer(1);
		run snapshotter(false);
		run watcher();
#endif
	};
#ifdef REACH_HELD
	REACHED(snapped && refs[slot[leaf[A]]] > 0 && leaf[A] != leaf[B] && !b_closed)
#endif
#ifdef REACH_COW
	REACHED(snapped && leaf[A] != leaf[B] && slot[leaf[A]] != slot[leaf[B]])
#endif
#ifdef REACH_REFAULT
	REACHED(snapped && writes == 3 && pw[A])
#endif
#ifdef REACH_SHARED_LEAF
	REACHED(snapped && leaf[A] == leaf[B] && pte[A] != 0)
#endif
#ifdef REACH_ZERO
	REACHED(pte[A] == ZERO)
#endif
#ifdef REACH_IN_PLACE
	REACHED(b_closed && writes == 2 && slot[leaf[A]] == 2)
#endif
}
