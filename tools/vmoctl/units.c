// SPDX-License-Identifier: GPL-2.0
/* Sizes as people write them. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmoctl.h"

static const char suffixes[] = "KMGTPE";

static uint64_t unit(const char *suffix)
{
	const char *at;

	if (!*suffix)
		return 1;
	if (!strcmp(suffix, "page") || !strcmp(suffix, "pages"))
		return sysconf(_SC_PAGESIZE);
	at = strchr(suffixes, toupper((unsigned char)*suffix));
	if (!at || (suffix[1] && strcmp(suffix + 1, "iB")))
		return 0;
	return 1ULL << (10 * (at - suffixes + 1));
}

int parse_size(const char *text, uint64_t *value)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	uintmax_t number;
	uint64_t factor;
	char *end;

	/* strtoumax() takes a sign and spaces. */
	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	number = strtoumax(text, &end, base);
	factor = unit(end);
	if (errno || !factor || (base == 16 && end == text + 1) ||
	    __builtin_mul_overflow(number, factor, value))
		return -1;
	return 0;
}

const char *size_text(char text[SIZE_TEXT], uint64_t value, bool exact)
{
	int i = -1;
	double shown = value;

	while (!exact && shown >= 1024 && suffixes[i + 1]) {
		shown /= 1024;
		i++;
	}
	if (i < 0)
		snprintf(text, SIZE_TEXT, "%" PRIu64, value);
	else if (value % (1ULL << (10 * (i + 1))) == 0)
		snprintf(text, SIZE_TEXT, "%.0f%c", shown, suffixes[i]);
	else
		snprintf(text, SIZE_TEXT, "%.1f%c", shown, suffixes[i]);
	return text;
}
