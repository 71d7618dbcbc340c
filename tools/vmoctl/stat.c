// SPDX-License-Identifier: GPL-2.0
/* The module's counters as they change, in the way of vmstat(8). */
#define _GNU_SOURCE
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "vmoctl.h"

#define NSEC		1000000000ULL
#define MAX_SECONDS	(366 * 86400ULL)
#define LINES		20	/* below each head */

struct stat {
	struct call *call;
	struct vmo_stats now, before;
	uint64_t taken, last;	/* ns; last is 0 at first */
	uint64_t lines;
};

/* ---- the table ----------------------------------------------------------------------- */

static void put_head(void)
{
	printf("%44s | %s\n%8s %8s %8s %8s %8s | %8s %8s %8s %8s %8s %8s\n", "now",
	       "per second (first line: since the module was loaded)", "MEMORY", "NODES", "OBJECTS",
	       "CONTENTS", "PINS", "MEMORY", "OBJECTS", "PINS", "QUERIES", "HITS", "MISSES");
}

/* What there is more or less per second; at first, all of it. */
static double rate(const struct stat *stat, uint64_t now, uint64_t before)
{
	double change = (int64_t)(now - before);

	return stat->last ? change * NSEC / (stat->taken - stat->last) : change;
}

static void put_bytes_rate(double rate)
{
	uint64_t bytes = rate < 0 ? -rate : rate;
	char text[SIZE_TEXT], with_sign[SIZE_TEXT + 1];

	snprintf(with_sign, sizeof(with_sign), "%s%s", rate <= -1 ? "-" : "",
		 size_text(text, bytes, false));
	printf(" %8s", with_sign);
}

static void put_rate(double rate)
{
	bool whole = rate == (int64_t)rate || rate >= 1000 || rate <= -1000;

	printf(" %8.*f", whole ? 0 : 1, rate);
}

static void put_line(struct stat *stat)
{
	const struct vmo_stats *now = &stat->now, *before = &stat->before;
	char text[SIZE_TEXT];

	if (stat->lines % LINES == 0)
		put_head();
	printf("%8s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " |",
	       size_text(text, now->page_bytes, false), (uint64_t)now->node_count,
	       (uint64_t)now->object_count, (uint64_t)now->content_count,
	       (uint64_t)now->pin_count);
	put_bytes_rate(rate(stat, now->page_bytes, before->page_bytes));
	put_rate(rate(stat, now->object_count, before->object_count));
	put_rate(rate(stat, now->pin_count, before->pin_count));
	put_rate(rate(stat, now->usage_queries, before->usage_queries));
	put_rate(rate(stat, now->usage_hits, before->usage_hits));
	put_rate(rate(stat, now->usage_misses, before->usage_misses));
	putchar('\n');
}

static void put_json(struct stat *stat)
{
	struct json_object *json = stats_json(&stat->now, NULL);

	if (stat->last)
		json_object_object_add(json, "seconds",
				       json_object_new_double((double)(stat->taken - stat->last) /
							      NSEC));
	json_object_object_add(json, "change", stats_json(&stat->now, &stat->before));
	answer(stat->call, "stat", json);
}

/* ---- time ------------------------------------------------------------------------------ */

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC + now.tv_nsec;
}

/* 1, 0.25, .5: whatever the locale has between them. */
static bool parse_interval(const char *text, uint64_t *ns)
{
	uint64_t seconds, unit = NSEC;
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return false;
	seconds = strtoull(text, &end, 10);
	*ns = (seconds < MAX_SECONDS ? seconds : MAX_SECONDS) * NSEC;
	if (*end == '.')
		while (isdigit((unsigned char)*++end)) {
			unit /= 10;
			*ns += unit * (*end - '0');
		}
	return !*end && *ns;
}

/* False if it is to end. */
static bool wait_until(uint64_t then)
{
	uint64_t now;

	while ((now = clock_ns()) < then) {
		struct timespec rest = { (then - now) / NSEC, (then - now) % NSEC };

		if (!live_wait(-1, &rest))
			return false;
	}
	return !interrupted;
}

/* ---- the command ------------------------------------------------------------------------- */

static enum status take_line(struct stat *stat)
{
	enum status status = stats_ask(stat->call, &stat->now);

	if (status)
		return status;
	stat->taken = clock_ns();
	if (stat->call->ctl->format == TEXT)
		put_line(stat);
	else
		put_json(stat);
	stat->lines++;
	stat->before = stat->now;
	stat->last = stat->taken;
	return OK;
}

enum status cmd_stat(struct call *call)
{
	struct stat stat = { .call = call };
	uint64_t interval = NSEC, count = UINT64_MAX, then = clock_ns();
	enum status status;

	if (call->argc && !parse_interval(call->argv[0], &interval))
		return usage_error(call, "%s is no number of seconds", call->argv[0]);
	if (call->argc > 1 && (parse_size(call->argv[1], &count) || !count))
		return usage_error(call, "COUNT has to be a number, from 1 on");
	live_begin(call);
	do {
		status = take_line(&stat);
		/* Who was stopped for long does not catch up. */
		then += interval;
		if (then < stat.taken)
			then = stat.taken + interval;
	} while (!status && live_flush() && stat.lines < count && wait_until(then));
	return status;
}
