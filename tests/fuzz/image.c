/*
 * Fuzzes what reads a policy image: every image that cw_image_open accepts can be used without leaving it. The input is
 * a path, a NUL, and the image; its header's fixed fields are made right first, which no mutation would guess.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rewriters/rewriter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct cw_image *im, const char *path)
{
	static char joined[CW_TEXT_MAX], name[CW_TEXT_MAX];
	const char *rest = NULL;

	for (uint32_t i = 0; i < im->n_nodes; i++) {
		if (cw_node_path(im, i, name, sizeof(name)) >= 0 && name[0] != '/')
			abort();
		uint32_t child = cw_child(im, i, path, strlen(path));
		if (child != CW_NONE && (child >= im->n_nodes || im->nodes[child].parent != i))
			abort();
	}
	cw_denied_by_glob(im, path);
	if (cw_join(joined, sizeof(joined), "/", path) < 0)
		return;
	uint32_t node = cw_textual(im, joined, sizeof(joined), false, &rest);
	if (node == CW_NONE)
		return;
	/* What capability form is given must be a grant that has it, and a rest that cannot climb out by its text. */
	if (node >= im->n_nodes || !(im->nodes[node].flags & CW_NODE_CAPFORM) || !rest || rest[0] == '/')
		abort();
	for (const char *part = rest; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (!strncmp(part, "../", 3) || !strcmp(part, ".."))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);

	if (!end || end == data)
		return 0;
	size_t image_size = size - (size_t)(end + 1 - data);
	/* Its own allocation, so that reading a byte too much is seen. */
	struct cw_image_header *image = malloc(image_size ? image_size : 1);
	if (!image)
		return 0;
	memcpy(image, end + 1, image_size);
	if (image_size >= sizeof(*image)) {
		memcpy(image->magic, CW_IMAGE_MAGIC, sizeof(image->magic));
		memcpy(image->table, (const uint8_t[32])CW_TABLE_SHA256, sizeof(image->table));
		image->version = CW_IMAGE_VERSION;
		image->header_size = sizeof(*image);
		image->size = image_size;
	}
	struct cw_image im;
	const char *why;
	if (cw_image_open(&im, image, image_size, &why))
		use(&im, (const char *)data);
	free(image);
	return 0;
}
