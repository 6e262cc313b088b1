/* Strings and plans: the little that rewriters need of a libc, and the ways a plan is stated. */
#include "rewriters/rewriter.h"

size_t cw_strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int cw_strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

int cw_memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

void cw_copy(void *dst, const void *src, size_t n)
{
	unsigned char *d = dst;
	const unsigned char *s = src;

	for (size_t i = 0; i < n; i++)
		d[i] = s[i];
}

void cw_move(void *dst, const void *src, size_t n)
{
	unsigned char *d = dst;
	const unsigned char *s = src;

	if (d < s)
		for (size_t i = 0; i < n; i++)
			d[i] = s[i];
	else
		for (size_t i = n; i-- > 0;)
			d[i] = s[i];
}

void cw_zero(void *dst, size_t n)
{
	unsigned char *d = dst;

	for (size_t i = 0; i < n; i++)
		d[i] = 0;
}

int cw_put_number(char *dst, uint64_t n)
{
	char digits[20];
	int len = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	for (int i = 0; i < len; i++)
		dst[i] = digits[len - 1 - i];
	dst[len] = 0;
	return len;
}

void cw_refuse(struct cw_ctx *c, enum cw_event_kind kind, int err)
{
	c->rec.kind = kind;
	c->plan.kind = CW_PLAN_REFUSE;
	c->plan.ret = -err;
}

void cw_fail(struct cw_ctx *c, int err)
{
	c->plan.kind = CW_PLAN_REFUSE;
	c->plan.ret = -err;
}

void cw_perform(struct cw_ctx *c, enum cw_op op)
{
	c->plan.kind = CW_PLAN_PERFORM;
	c->plan.op = op;
}

void cw_pass(struct cw_ctx *c)
{
	c->plan.kind = CW_PLAN_PASS;
}

void cw_answer(struct cw_ctx *c, int64_t ret)
{
	cw_perform(c, CW_OP_RESULT);
	c->plan.ret = ret;
}

void cw_rewrite(struct cw_ctx *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	c->plan.kind = CW_PLAN_REWRITE;
	c->plan.nr = nr;
	c->plan.arg[0] = a0;
	c->plan.arg[1] = a1;
	c->plan.arg[2] = a2;
	c->plan.arg[3] = a3;
	c->plan.arg[4] = a4;
	c->plan.arg[5] = a5;
	c->plan.slot_arg = -1;
	c->plan.control = NULL;
	c->plan.then.nr = 0;
}
