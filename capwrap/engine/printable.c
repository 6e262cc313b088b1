/*
 * Text for a terminal: what does not print, and bytes that are no UTF-8, as escapes. A name is the target's, and what it holds
 * must not reach the terminal as a command. capwrap/observe/summary.py says the same in Python.
 */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the Unicode categories Cc, Cf, Co, Zl, Zp and Zs (Unicode 14), but for the space. What is unassigned is shown. */
static const uint32_t silent[][2] = {
	{0x0, 0x1f},        {0x7f, 0xa0},       {0xad, 0xad},         {0x600, 0x605},     {0x61c, 0x61c},
	{0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},       {0x8e2, 0x8e2},     {0x1680, 0x1680},
	{0x180e, 0x180e},   {0x2000, 0x200f},   {0x2028, 0x202f},     {0x205f, 0x2064},   {0x2066, 0x206f},
	{0x3000, 0x3000},   {0xe000, 0xf8ff},   {0xfeff, 0xfeff},     {0xfff9, 0xfffb},   {0x110bd, 0x110bd},
	{0x110cd, 0x110cd}, {0x13430, 0x13438}, {0x1bca0, 0x1bca3},   {0x1d173, 0x1d17a}, {0xe0001, 0xe0001},
	{0xe0020, 0xe007f}, {0xf0000, 0xffffd}, {0x100000, 0x10fffd},
};

static bool prints(uint32_t code)
{
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		if (code >= silent[i][0] && code <= silent[i][1])
			return false;
	return true;
}

/* One character of UTF-8 as RFC 3629 has it: its bytes, 0 where there is none. */
static size_t decode(const unsigned char *s, size_t len, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;

	if (!n || n > len)
		return 0;
	*code = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3f);
	}
	return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff) ? 0 : n;
}

char *cw_printable(const char *text)
{
	size_t len = strlen(text);
	char *out = malloc(4 * len + 1), *to = out; /* at most \xNN for a byte, and \uNNNNNN for four */

	for (size_t n; out && len; text += n, len -= n) {
		uint32_t code = 0;

		n = decode((const unsigned char *)text, len, &code);
		if (!n) {
			n = 1;
			to += sprintf(to, "\\x%02x", (unsigned char)*text);
		} else if (!prints(code)) {
			to += sprintf(to, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
		} else {
			memcpy(to, text, n);
			to += n;
		}
	}
	if (out)
		*to = 0;
	return out;
}
