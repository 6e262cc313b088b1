/*
 * SHA-256 (FIPS 180-4), for the digest of policy images: the engine must not need a library for it. Every start hashes
 * its whole image, so the processor's own instructions for it are used where there are any.
 */
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "capwrap/engine/internal.h"

static const uint32_t k[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t ror(uint32_t v, int n)
{
	return v >> n | v << (32 - n);
}

/* Round `i`, with the eight variables in `v`: their names go round instead of their values. */
static inline void round_of(uint32_t v[8], size_t i, uint32_t w)
{
	uint32_t a = v[-i & 7], b = v[(1 - i) & 7], c = v[(2 - i) & 7];
	uint32_t e = v[(4 - i) & 7], f = v[(5 - i) & 7], g = v[(6 - i) & 7], h = v[(7 - i) & 7];
	uint32_t t = h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w;

	v[(3 - i) & 7] += t;
	v[(7 - i) & 7] = t + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
}

static void blocks_plain(uint32_t s[8], const uint8_t *p, size_t count)
{
	for (; count; count--, p += 64) {
		uint32_t w[64], v[8];

		for (size_t i = 0; i < 16; i++) {
			memcpy(&w[i], p + 4 * i, 4);
			w[i] = __builtin_bswap32(w[i]);
		}
		for (int i = 16; i < 64; i++)
			w[i] = w[i - 16] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
			       (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
		memcpy(v, s, sizeof(v));
#pragma GCC unroll 64
		for (size_t i = 0; i < 64; i++)
			round_of(v, i, w[i]);
		for (int i = 0; i < 8; i++)
			s[i] += v[i];
	}
}

/* With the SHA extensions (Intel SDM vol. 2, SHA256RNDS2): the state is held as ABEF and CDGH, highest word first. */
__attribute__((target("sha,sse4.1"))) static void blocks_sha(uint32_t s[8], const uint8_t *p, size_t count)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i abef = _mm_set_epi32((int)s[0], (int)s[1], (int)s[4], (int)s[5]);
	__m128i cdgh = _mm_set_epi32((int)s[2], (int)s[3], (int)s[6], (int)s[7]);

	for (; count; count--, p += 64) {
		__m128i was_abef = abef, was_cdgh = cdgh, w[4], t;

#pragma GCC unroll 16
		for (size_t i = 0; i < 16; i++) {
			if (i < 4) {
				t = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
				t = _mm_shuffle_epi8(t, swap);
			} else {
				t = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
				t = _mm_add_epi32(t, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
				t = _mm_sha256msg2_epu32(t, w[(i + 3) & 3]);
			}
			w[i & 3] = t;
			t = _mm_add_epi32(t, _mm_load_si128((const __m128i *)(const void *)(k + 4 * i)));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, t);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(t, 0x0e));
		}
		abef = _mm_add_epi32(abef, was_abef);
		cdgh = _mm_add_epi32(cdgh, was_cdgh);
	}
	s[0] = (uint32_t)_mm_extract_epi32(abef, 3);
	s[1] = (uint32_t)_mm_extract_epi32(abef, 2);
	s[2] = (uint32_t)_mm_extract_epi32(cdgh, 3);
	s[3] = (uint32_t)_mm_extract_epi32(cdgh, 2);
	s[4] = (uint32_t)_mm_extract_epi32(abef, 1);
	s[5] = (uint32_t)_mm_extract_epi32(abef, 0);
	s[6] = (uint32_t)_mm_extract_epi32(cdgh, 1);
	s[7] = (uint32_t)_mm_extract_epi32(cdgh, 0);
}

static bool has_sha(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

static void digest(void (*blocks)(uint32_t s[8], const uint8_t *p, size_t count), const uint8_t *p, size_t len,
                   uint8_t out[32])
{
	uint32_t s[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	uint8_t tail[128] = {0};
	size_t rest = len % 64, pad = rest < 56 ? 64 : 128;

	blocks(s, p, len / 64);
	if (rest)
		memcpy(tail, p + (len - rest), rest);
	tail[rest] = 0x80;
	for (size_t i = 0; i < 8; i++)
		tail[pad - 1 - i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
	blocks(s, tail, pad / 64);
	for (int i = 0; i < 32; i++)
		out[i] = (uint8_t)(s[i / 4] >> (24 - 8 * (i % 4)));
}

void cw_sha256(const void *data, size_t len, uint8_t out[32])
{
	digest(has_sha() ? blocks_sha : blocks_plain, data, len, out);
}
