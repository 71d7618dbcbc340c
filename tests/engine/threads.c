// SPDX-License-Identifier: GPL-2.0
#include <ucontext.h>

#include "threads.h"

#define STACK	(128 * 1024)

struct thread {
	ucontext_t context;
	struct shim_held held;
	bool done;
};

static struct thread thread[THREADS_MAX];
static char stack[THREADS_MAX][STACK] __attribute__((aligned(64)));
static ucontext_t home;
static thread_fn body;
static int nr_threads, turn, waiting, planned;
static unsigned int steps;
static const struct schedule *plan;

static int next_alive(int from)
{
	int i;

	for (i = 0; i < nr_threads; i++)
		if (!thread[(from + i) % nr_threads].done)
			return (from + i) % nr_threads;
	return -1;
}

static void give_turn(int to)
{
	int from = turn;

	if (to == from)
		return;
	turn = to;
	shim_held = &thread[to].held;
	swapcontext(&thread[from].context, &thread[to].context);
}

static void step(void)
{
	steps++;
	waiting = 0;
	if (planned < plan->nr && plan->at[planned] <= steps)
		give_turn(next_alive(plan->to[planned++]));
}

static void wait(void)
{
	if (++waiting > 2 * nr_threads)
		shim_fail(__FILE__, __LINE__, "deadlock");
	give_turn(next_alive(turn + 1));
}

static void run_body(int self)
{
	int next;

	body(self);
	shim_check_idle();
	thread[self].done = true;
	waiting = 0;
	next = next_alive(self + 1);
	if (next >= 0)
		give_turn(next);
	else
		swapcontext(&thread[self].context, &home);
}

static void start_thread(int i)
{
	struct thread *t = &thread[i];

	memset(&t->held, 0, sizeof(t->held));
	t->done = i >= nr_threads;
	getcontext(&t->context);
	t->context.uc_stack.ss_sp = stack[i];
	t->context.uc_stack.ss_size = STACK;
	makecontext(&t->context, (void (*)(void))run_body, 1, i);
}

unsigned int threads_run(int nr, thread_fn fn, const struct schedule *schedule)
{
	int i;

	nr_threads = nr;
	for (i = 0; i < nr; i++)
		start_thread(i);
	body = fn;
	plan = schedule;
	planned = 0;
	steps = 0;
	waiting = 0;
	turn = schedule->first;
	shim_held = &thread[turn].held;
	shim_step_hook = step;
	shim_wait_hook = wait;
	swapcontext(&home, &thread[turn].context);
	shim_step_hook = NULL;
	shim_wait_hook = NULL;
	shim_held = NULL;
	return steps;
}
