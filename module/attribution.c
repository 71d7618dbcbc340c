// SPDX-License-Identifier: GPL-2.0
/*
 * What an object holds, and to whom a page is charged (layer L2).
 *
 * The counts of a whole content are remembered together with two generations: its own,
 * and that of its family, which changes where one member's doing changes what others
 * share. Whoever changes something only sets a flag, and only if it is not set; whoever
 * asks turns flags into generations, before looking. So nothing is contended but by
 * those who ask.
 *
 * Locks: @members_lock of a family is innermost but for spinlocks, and held neither
 * over a walk nor over the drop of a content; two content locks are taken by address.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/percpu.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "object.h"

static DEFINE_PER_CPU(unsigned long, queries);
static DEFINE_PER_CPU(unsigned long, hits);
static DEFINE_PER_CPU(unsigned long, misses);

void vmo_usage_counters_read(struct vmo_usage_counters *sum)
{
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		sum->queries += READ_ONCE(per_cpu(queries, cpu));
		sum->hits += READ_ONCE(per_cpu(hits, cpu));
		sum->misses += READ_ONCE(per_cpu(misses, cpu));
	}
}

/* ---- families ---------------------------------------------------------- */

struct vmo_kin *vmo_kin_new(void)
{
	struct vmo_kin *kin = kzalloc(sizeof(*kin), GFP_KERNEL_ACCOUNT);

	if (!kin)
		return NULL;
	refcount_set(&kin->refs, 1);
	spin_lock_init(&kin->change.lock);
	mutex_init(&kin->members_lock);
	INIT_LIST_HEAD(&kin->members);
	return kin;
}

struct vmo_kin *vmo_kin_get(struct vmo_kin *kin)
{
	refcount_inc(&kin->refs);
	return kin;
}

void vmo_kin_put(struct vmo_kin *kin)
{
	if (refcount_dec_and_test(&kin->refs))
		kfree(kin);
}

void vmo_kin_enter(struct vmo_content *content)
{
	struct vmo_kin *kin = content->kin;

	content->cow.family_changed = &kin->change.pending;
	mutex_lock(&kin->members_lock);
	list_add_tail(&content->kin_link, &kin->members);
	mutex_unlock(&kin->members_lock);
	vmo_cow_changed(&content->cow, true);
}

void vmo_kin_leave(struct vmo_content *content)
{
	mutex_lock(&content->kin->members_lock);
	list_del_init(&content->kin_link);
	mutex_unlock(&content->kin->members_lock);
}

/*
 * The next member that is older than @prev, which is @content at first; referenced. From
 * the youngest on: most of what a snapshot shares the one before it has. Drops the
 * reference of @prev, which kept it in the list.
 */
static struct vmo_content *next_older(struct vmo_content *content, struct vmo_content *prev)
{
	struct vmo_kin *kin = content->kin;
	struct list_head *link;
	struct vmo_content *next, *found = NULL;

	mutex_lock(&kin->members_lock);
	link = prev ? prev->kin_link.prev : content->kin_link.prev;
	for (; link != &kin->members; link = link->prev) {
		next = list_entry(link, struct vmo_content, kin_link);
		if (refcount_inc_not_zero(&next->refs)) {
			found = next;
			break;
		}
	}
	mutex_unlock(&kin->members_lock);
	if (prev)
		vmo_content_put(prev);
	return found;
}

/* ---- generations ------------------------------------------------------- */

static u64 generation_of(struct vmo_change *change)
{
	u64 generation;

	spin_lock(&change->lock);
	/* The flag before the walk; pairs with vmo_cow_changed(). */
	if (READ_ONCE(change->pending) && xchg(&change->pending, false))
		change->generation++;
	generation = change->generation;
	spin_unlock(&change->lock);
	smp_mb();	/* if the flag was not set, too */
	return generation;
}

u64 vmo_content_generation(struct vmo_content *content)
{
	u64 own;

	spin_lock(&content->counts.lock);
	if (READ_ONCE(content->cow.changed) && xchg(&content->cow.changed, false))
		content->counts.generation++;
	own = content->counts.generation;
	spin_unlock(&content->counts.lock);
	/* Both only rise, and so does the sum. */
	return own + generation_of(&content->kin->change);
}

/* ---- whom a page is charged to ----------------------------------------- */

/* Keys that are looked at together. */
#define CHUNK	32768UL

/* What members older than @content have. */
static int mark_older(struct vmo_content *content, pgoff_t first, pgoff_t last,
		      const struct vmo_known *known)
{
	struct vmo_content *older = NULL;
	int err;

	while ((older = next_older(content, older))) {
		err = vmo_cow_same(&content->cow, &older->cow, first, last, known);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (err) {
			vmo_content_put(older);
			return err;
		}
		cond_resched();
	}
	return 0;
}

static int count_chunks(struct vmo_content *content, pgoff_t first, pgoff_t last,
			const struct vmo_known *known, u64 *pages)
{
	pgoff_t to;
	int err;

	for (*pages = 0; first <= last; first = to + 1) {
		err = vmo_cow_next_held(&content->cow, &first, last);
		if (err)
			return err == -ENXIO ? 0 : err;
		to = min(last, first + CHUNK - 1);
		bitmap_zero(known->tree, CHUNK);
		bitmap_zero(known->base, CHUNK);
		err = mark_older(content, first, to, known);
		if (!err)
			err = vmo_cow_count_clear(&content->cow, first, to, known, pages);
		if (err)
			return err;
	}
	return 0;
}

/* A page is charged to the oldest that has it: A1 wants exactly one, alive. */
static int count_exclusive(struct vmo_content *content, pgoff_t first, pgoff_t last,
			   u64 *pages)
{
	struct vmo_known known = {
		.tree = bitmap_alloc(CHUNK, GFP_KERNEL_ACCOUNT),
		.base = bitmap_alloc(CHUNK, GFP_KERNEL_ACCOUNT),
	};
	int err = -ENOMEM;

	if (known.tree && known.base)
		err = count_chunks(content, first, last, &known, pages);
	bitmap_free(known.base);
	bitmap_free(known.tree);
	return err;
}

static bool is_oldest(struct vmo_content *content)
{
	return READ_ONCE(content->kin->members.next) == &content->kin_link;
}

static int count(struct vmo_content *content, pgoff_t first, pgoff_t last, bool exclusive,
		 struct vmo_charges *charges)
{
	struct vmo_tally *tally = &charges->tally;
	int err = vmo_cow_usage(&content->cow, first, last, tally);

	if (err || !exclusive)
		return err;
	charges->exclusive = tally->pages;
	if (is_oldest(content) && !content->cow.has_base)
		return 0;
	err = count_exclusive(content, first, last, &charges->exclusive);
	/* The family may have changed since: what is told adds up even then. */
	if (!content->cow.has_base)
		charges->exclusive = min(charges->exclusive, tally->pages);
	charges->exclusive = max(charges->exclusive, tally->private);
	return err;
}

/* ---- asking ------------------------------------------------------------ */

static bool recall(struct vmo_content *content, u64 generation, bool exclusive,
		   struct vmo_charges *charges)
{
	struct vmo_counts *counts = &content->counts;
	bool known;

	spin_lock(&counts->lock);
	known = counts->known && counts->known_at == generation &&
		(counts->has_exclusive || !exclusive);
	if (known)
		*charges = counts->charges;
	spin_unlock(&counts->lock);
	return known;
}

static void remember(struct vmo_content *content, u64 generation, bool exclusive,
		     const struct vmo_charges *charges)
{
	struct vmo_counts *counts = &content->counts;

	spin_lock(&counts->lock);
	if (!counts->known || counts->known_at <= generation) {
		counts->known = true;
		counts->known_at = generation;
		counts->has_exclusive = exclusive;
		counts->charges = *charges;
	}
	spin_unlock(&counts->lock);
}

int vmo_content_usage(struct vmo_content *content, bool exclusive,
		      struct vmo_charges *charges)
{
	u64 generation = vmo_content_generation(content);
	int err;

	this_cpu_inc(queries);
	if (recall(content, generation, exclusive, charges)) {
		this_cpu_inc(hits);
		return 0;
	}
	this_cpu_inc(misses);
	err = count(content, 0, VMO_KEY_MAX, exclusive, charges);
	if (!err)
		remember(content, generation, exclusive, charges);
	return err;
}

int vmo_object_usage(struct vmo *vmo, u64 offset, u64 length, struct vmo_charges *charges)
{
	u64 size = (u64)vmo_object_pages(vmo) << PAGE_SHIFT;

	memset(charges, 0, sizeof(*charges));
	/* L5, F5: what is not charged to it, it does not have. */
	if (vmo->flags & (VMO_OBJ_SLICE | VMO_OBJ_REFERENCE) || !length)
		return 0;
	/* Of nothing, too: its base may have something. */
	if (!offset && length >= size)
		return vmo_content_usage(vmo->content, true, charges);
	if (offset >= size)
		return 0;
	length = min(length, size - offset);
	this_cpu_inc(queries);
	return count(vmo->content, vmo->base + (offset >> PAGE_SHIFT),
		     vmo->base + ((offset + length - 1) >> PAGE_SHIFT), true, charges);
}
