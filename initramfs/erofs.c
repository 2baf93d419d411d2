// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writer of erofs images. Block 0 has the superblock, then come all inodes, then what of
 * directories and links does not fit beside its inode, then the contents of files. The layout is
 * known before the first byte is written.
 */
#include "erofs.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"

#define SUPER_OFFSET 1024u
#define SUPER_MAGIC 0xe0f5e1e2u
#define BLOCK_BITS 12u
#define COMPAT_SB_CHKSUM 1u
#define SLOT 32u	     /* an inode's number is its offset in units of this */
#define NO_BLOCK 0xffffffffu /* there is no data outside the inode */
#define NAME_LENGTH_MAX 255u
#define COMPACT_NLINK_MAX 0xffffu

/* i_format: bit 0 the inode's size, bits 1-3 how its data lies */
#define FORMAT_EXTENDED 1u
#define FORMAT_PLAIN (0u << 1)
#define FORMAT_INLINE (2u << 1)

enum file_type { TYPE_FILE = 1, TYPE_DIR = 2, TYPE_CHAR = 3, TYPE_SYMLINK = 7 };

/* On disk, little-endian; what is reserved or not used is 0. */
struct super_block {
	uint32_t magic, checksum, feature_compat;
	uint8_t block_bits, extra_slots;
	uint16_t root_nid;
	uint64_t inodes, epoch;
	uint32_t fixed_nsec, blocks, meta_block, xattr_block;
	uint8_t uuid[16], volume_name[16];
	uint32_t feature_incompat;
	uint8_t unused[44];
};

struct inode_compact {
	uint16_t format, xattr_count, mode, nlink;
	uint32_t size, mtime;
	uint32_t start; /* first block, or the device */
	uint32_t number;
	uint16_t uid, gid;
	uint32_t reserved;
};

struct inode_extended {
	uint16_t format, xattr_count, mode, reserved;
	uint64_t size;
	uint32_t start, number, uid, gid;
	uint64_t mtime;
	uint32_t mtime_nsec, nlink;
	uint8_t reserved2[16];
};

struct dirent_head {
	uint64_t nid;
	uint16_t name_offset; /* in its block */
	uint8_t type, reserved;
} __attribute__((packed));

_Static_assert(sizeof(struct super_block) == 128, "erofs superblock");
_Static_assert(sizeof(struct inode_compact) == SLOT, "erofs compact inode");
_Static_assert(sizeof(struct inode_extended) == 2 * SLOT, "erofs extended inode");
_Static_assert(sizeof(struct dirent_head) == 12, "erofs directory entry");

struct node {
	const struct tree_entry *entry; /* NULL: the root */
	size_t parent;			/* the root's is itself */
	uint64_t size;			/* bytes of content */
	uint64_t offset;		/* of the inode, in the image */
	uint64_t start;			/* first block of its data, or NO_BLOCK */
	size_t first_name, nr_names;	/* of a directory, in struct image.names */
	size_t nr_subdirs;
	bool inlined; /* the last block of content lies behind the inode */
};

/* One entry of a directory. */
struct name {
	const char *text;
	size_t dir, node;
};

struct image {
	struct tree *tree;
	struct node *nodes; /* [0]: the root; then sorted by path */
	size_t nr_nodes;
	struct name *names; /* sorted by directory, and then by name */
	size_t nr_names;
	uint8_t *meta;	    /* the image up to the contents of files */
	uint64_t meta_size; /* a multiple of EROFS_BLOCK */
	uint64_t nr_blocks; /* of the whole image */
};

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "build", "root image", NULL);
}

static uint64_t blocks_of(uint64_t size)
{
	return (size + EROFS_BLOCK - 1) / EROFS_BLOCK;
}

/* CRC-32C (Castagnoli), reflected, without the final inversion. */
static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t length)
{
	while (length--) {
		crc ^= *data++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static bool is_dir(const struct node *node)
{
	return !node->entry || node->entry->kind == TREE_DIR;
}

static const char *path_of(const struct node *node)
{
	return node->entry ? node->entry->path : "/";
}

static size_t inode_size(const struct node *node)
{
	return 2 + node->nr_subdirs > COMPACT_NLINK_MAX ? sizeof(struct inode_extended)
							: sizeof(struct inode_compact);
}

/* ---- Who lies where in the tree ---- */

static int by_path(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return strcmp(x->entry->path, y->entry->path);
}

struct prefix {
	const char *path;
	size_t length;
};

static int compare_prefix(const void *key, const void *item)
{
	const struct prefix *prefix = key;
	const char *path = ((const struct node *)item)->entry->path;
	int order = strncmp(prefix->path, path, prefix->length);

	return order ? order : path[prefix->length] ? -1 : 0;
}

static int find_parents(struct image *image, struct ktstr_error *error)
{
	for (size_t i = 1; i < image->nr_nodes; i++) {
		struct node *node = &image->nodes[i], *parent = image->nodes;
		const char *path = path_of(node), *slash = strrchr(path, '/');
		struct prefix prefix = {path, (size_t)(slash - path)};

		if (prefix.length)
			parent = bsearch(&prefix, image->nodes + 1, image->nr_nodes - 1,
					 sizeof(*parent), compare_prefix);
		if (!parent || !is_dir(parent))
			return ktstr_error__set(error, ENOTDIR, "add to root image", path, NULL);
		if (strlen(slash + 1) > NAME_LENGTH_MAX)
			return ktstr_error__set(error, ENAMETOOLONG, "add to root image", path,
						"a name has at most %u bytes", NAME_LENGTH_MAX);
		node->parent = (size_t)(parent - image->nodes);
		parent->nr_subdirs += is_dir(node);
	}
	return 0;
}

static int make_nodes(struct image *image, struct ktstr_error *error)
{
	const struct tree *tree = image->tree;

	image->nr_nodes = tree->nr_entries + 1;
	image->nodes = calloc(image->nr_nodes, sizeof(*image->nodes));
	if (!image->nodes)
		return no_memory(error);
	for (size_t i = 0; i < tree->nr_entries; i++)
		image->nodes[i + 1].entry = tree->entries[i];
	qsort(image->nodes + 1, tree->nr_entries, sizeof(*image->nodes), by_path);
	return find_parents(image, error);
}

/* The kernel looks names up by bisection: they are sorted by their bytes, "." and ".." as well. */
static int by_dir_and_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return strcmp(x->text, y->text);
}

static void add_name(struct image *image, const char *text, size_t dir, size_t node)
{
	image->names[image->nr_names++] = (struct name){text, dir, node};
	image->nodes[dir].nr_names++;
}

static int make_names(struct image *image, struct ktstr_error *error)
{
	image->names = calloc(image->nr_nodes, 3 * sizeof(*image->names));
	if (!image->names)
		return no_memory(error);
	for (size_t i = 0; i < image->nr_nodes; i++) {
		const struct node *node = &image->nodes[i];

		if (i)
			add_name(image, strrchr(path_of(node), '/') + 1, node->parent, i);
		if (is_dir(node)) {
			add_name(image, ".", i, i);
			add_name(image, "..", i, node->parent);
		}
	}
	qsort(image->names, image->nr_names, sizeof(*image->names), by_dir_and_name);
	for (size_t i = image->nr_names; i-- > 0;)
		image->nodes[image->names[i].dir].first_name = i;
	return 0;
}

/* ---- Directories ---- */

/* How many names from @first on fit into a block; *used: bytes that they take. */
static size_t names_in_block(const struct name *first, size_t left, size_t *used)
{
	size_t n = 0;

	for (*used = 0; n < left; n++) {
		size_t need = sizeof(struct dirent_head) + strlen(first[n].text);

		if (*used + need > EROFS_BLOCK)
			break;
		*used += need;
	}
	return n;
}

static uint64_t dir_size(const struct image *image, const struct node *dir)
{
	const struct name *name = image->names + dir->first_name;
	uint64_t full = 0;
	size_t used = 0;

	for (size_t left = dir->nr_names; left;) {
		size_t n = names_in_block(name, left, &used);

		name += n;
		left -= n;
		full += left ? EROFS_BLOCK : 0;
	}
	return full + used;
}

static enum file_type type_of(const struct node *node)
{
	if (is_dir(node))
		return TYPE_DIR;
	if (node->entry->kind == TREE_SYMLINK)
		return TYPE_SYMLINK;
	return node->entry->kind == TREE_CHAR ? TYPE_CHAR : TYPE_FILE;
}

/* First the heads of all names of the block, then the names without anything between them. */
static void fill_dir_block(const struct image *image, const struct name *name, size_t n,
			   uint8_t *block)
{
	size_t offset = n * sizeof(struct dirent_head);

	for (size_t i = 0; i < n; i++) {
		const struct node *node = &image->nodes[name[i].node];
		const struct dirent_head head = {
			.nid = htole64(node->offset / SLOT),
			.name_offset = htole16((uint16_t)offset),
			.type = (uint8_t)type_of(node),
		};
		size_t length = strlen(name[i].text);

		memcpy(block + i * sizeof(head), &head, sizeof(head));
		memcpy(block + offset, name[i].text, length);
		offset += length;
	}
}

/* @content: of whole blocks, zeroed. */
static void fill_dir(const struct image *image, const struct node *dir, uint8_t *content)
{
	const struct name *name = image->names + dir->first_name;
	size_t used;

	for (size_t left = dir->nr_names; left;) {
		size_t n = names_in_block(name, left, &used);

		fill_dir_block(image, name, n, content);
		content += EROFS_BLOCK;
		name += n;
		left -= n;
	}
}

/* ---- Sizes and places ---- */

static int file_size(struct image *image, struct node *node, struct ktstr_error *error)
{
	const char *host = node->entry->host;
	struct stat st;
	/* Recorded before the content is read: a change from here on is seen by the next user. */
	int err = inputs__stat(&image->tree->inputs, host, &st);

	if (err)
		return ktstr_error__set(error, -err, "open", host, NULL);
	if (!S_ISREG(st.st_mode))
		return ktstr_error__set(error, EINVAL, "add to root image", host,
					"not a regular file");
	node->size = (uint64_t)st.st_size;
	return 0;
}

static int find_size(struct image *image, struct node *node, struct ktstr_error *error)
{
	int err = 0;

	if (is_dir(node)) {
		node->size = dir_size(image, node);
	} else if (node->entry->kind == TREE_FILE) {
		err = file_size(image, node, error);
	} else if (node->entry->kind == TREE_DATA) {
		node->size = node->entry->size;
	} else if (node->entry->kind == TREE_SYMLINK) {
		node->size = node->entry->size - 1;
		if (!node->size || node->size >= PATH_MAX)
			err = ktstr_error__set(error, node->size ? ENAMETOOLONG : EINVAL,
					       "add to root image", path_of(node),
					       "its link target is %s",
					       node->size ? "too long" : "empty");
	}
	if (!err && node->size > EROFS_MAX_FILE)
		err = ktstr_error__set(error, EFBIG, "add to root image", path_of(node),
				       "%llu bytes: a root image holds files up to 4 GiB - 1",
				       (unsigned long long)node->size);
	return err;
}

/* Where the content of directories and links ends beside the inode, reading it costs no request. */
static bool can_be_inlined(const struct node *node)
{
	uint64_t tail = node->size % EROFS_BLOCK;

	return (is_dir(node) || node->entry->kind == TREE_SYMLINK) && tail &&
	       inode_size(node) + tail <= EROFS_BLOCK;
}

/* Inodes with their inlined data: these do not cross the end of a block. */
static uint64_t place_inodes(struct image *image)
{
	uint64_t offset = EROFS_BLOCK;

	for (size_t i = 0; i < image->nr_nodes; i++) {
		struct node *node = &image->nodes[i];
		uint64_t length = inode_size(node);

		node->inlined = can_be_inlined(node);
		if (node->inlined)
			length += node->size % EROFS_BLOCK;
		if (offset % EROFS_BLOCK + length > EROFS_BLOCK)
			offset = blocks_of(offset) * EROFS_BLOCK;
		node->offset = offset;
		offset = (offset + length + SLOT - 1) / SLOT * SLOT;
	}
	return blocks_of(offset);
}

static bool is_file(const struct node *node)
{
	return !is_dir(node) && (node->entry->kind == TREE_FILE || node->entry->kind == TREE_DATA);
}

/* Blocks of data: those of files, or those of all others. Returns where they end. */
static uint64_t place_data(struct image *image, bool files, uint64_t block)
{
	for (size_t i = 0; i < image->nr_nodes; i++) {
		struct node *node = &image->nodes[i];
		uint64_t count = node->inlined ? node->size / EROFS_BLOCK : blocks_of(node->size);

		if (is_file(node) != files)
			continue;
		node->start = count ? block : NO_BLOCK;
		block += count;
	}
	return block;
}

static int place(struct image *image, struct ktstr_error *error)
{
	uint64_t block;
	int err = 0;

	for (size_t i = 0; !err && i < image->nr_nodes; i++)
		err = find_size(image, &image->nodes[i], error);
	if (err)
		return err;
	block = place_data(image, false, place_inodes(image));
	image->meta_size = block * EROFS_BLOCK;
	image->nr_blocks = place_data(image, true, block);
	if (image->nr_blocks >= NO_BLOCK)
		return ktstr_error__set(error, EFBIG, "build", "root image",
					"more than 16 TiB of files");
	return 0;
}

/* ---- Bytes ---- */

static uint32_t mode_of(const struct node *node)
{
	static const uint32_t kinds[] = {[TYPE_FILE] = S_IFREG,
					 [TYPE_DIR] = S_IFDIR,
					 [TYPE_CHAR] = S_IFCHR,
					 [TYPE_SYMLINK] = S_IFLNK};

	return kinds[type_of(node)] | (node->entry ? node->entry->mode : 0755);
}

static uint32_t start_of(const struct node *node)
{
	const struct tree_entry *entry = node->entry;

	if (type_of(node) != TYPE_CHAR)
		return (uint32_t)node->start;
	/* new_encode_dev() of the kernel */
	return (entry->minor & 0xff) | entry->major << 8 | (entry->minor & ~0xffu) << 12;
}

static void fill_inode(const struct image *image, const struct node *node)
{
	uint32_t number = (uint32_t)(node - image->nodes) + 1;
	uint32_t nlink = is_dir(node) ? 2 + (uint32_t)node->nr_subdirs : 1;
	uint16_t format = node->inlined ? FORMAT_INLINE : FORMAT_PLAIN;
	uint16_t mode = (uint16_t)mode_of(node);
	const struct inode_extended extended = {
		.format = htole16(format | FORMAT_EXTENDED),
		.mode = htole16(mode),
		.size = htole64(node->size),
		.start = htole32(start_of(node)),
		.number = htole32(number),
		.nlink = htole32(nlink),
	};
	const struct inode_compact compact = {
		.format = htole16(format),
		.mode = htole16(mode),
		.nlink = htole16((uint16_t)nlink),
		.size = htole32((uint32_t)node->size),
		.start = htole32(start_of(node)),
		.number = htole32(number),
	};
	size_t size = inode_size(node);

	memcpy(image->meta + node->offset,
	       size == sizeof(compact) ? (const void *)&compact : &extended, size);
}

/* @content goes to its blocks, and the end of it behind the inode when it lies there. */
static void fill_content(const struct image *image, const struct node *node, const void *content)
{
	uint64_t outside = node->inlined ? node->size / EROFS_BLOCK * EROFS_BLOCK : node->size;

	if (outside)
		memcpy(image->meta + node->start * EROFS_BLOCK, content, outside);
	memcpy(image->meta + node->offset + inode_size(node), (const uint8_t *)content + outside,
	       node->size - outside);
}

static int fill_meta(struct image *image, struct ktstr_error *error)
{
	image->meta = calloc(1, image->meta_size);
	if (!image->meta)
		return no_memory(error);
	for (size_t i = 0; i < image->nr_nodes; i++) {
		const struct node *node = &image->nodes[i];

		fill_inode(image, node);
		if (is_dir(node)) {
			uint8_t *content = calloc(blocks_of(node->size), EROFS_BLOCK);

			if (!content)
				return no_memory(error);
			fill_dir(image, node, content);
			fill_content(image, node, content);
			free(content);
		} else if (node->entry->kind == TREE_SYMLINK) {
			fill_content(image, node, node->entry->data);
		}
	}
	return 0;
}

static void fill_super(struct image *image)
{
	struct super_block super = {
		.magic = htole32(SUPER_MAGIC),
		.feature_compat = htole32(COMPAT_SB_CHKSUM),
		.block_bits = BLOCK_BITS,
		.root_nid = htole16((uint16_t)(image->nodes[0].offset / SLOT)),
		.inodes = htole64(image->nr_nodes),
		.blocks = htole32((uint32_t)image->nr_blocks),
	};
	uint8_t *place = image->meta + SUPER_OFFSET;

	/* Over the rest of the block, this field being 0. */
	memcpy(place, &super, sizeof(super));
	super.checksum = htole32(crc32c(UINT32_MAX, place, EROFS_BLOCK - SUPER_OFFSET));
	memcpy(place, &super, sizeof(super));
}

/* ---- The file ---- */

static int write_at(int fd, uint64_t block, const void *data, size_t length,
		    struct ktstr_error *error)
{
	int err = lseek(fd, (off_t)(block * EROFS_BLOCK), SEEK_SET) < 0
			  ? -errno
			  : copy__write(fd, data, length);

	return err ? ktstr_error__set(error, -err, "write", "root image", NULL) : 0;
}

static int write_file(int fd, const struct node *node, struct ktstr_error *error)
{
	const char *host = node->entry->host;
	int source = open(host, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;
	struct stat st;

	if (source < 0)
		return ktstr_error__set(error, errno, "open", host, NULL);
	if (fstat(source, &st))
		err = ktstr_error__set(error, errno, "stat", host, NULL);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != node->size)
		err = ktstr_error__set(error, ESTALE, "read", host, "it changed while it was read");
	else if (lseek(fd, (off_t)(node->start * EROFS_BLOCK), SEEK_SET) < 0)
		err = ktstr_error__set(error, errno, "write", "root image", NULL);
	else
		err = copy__bytes(fd, source, 0, node->size, host, error);
	close(source);
	return err;
}

static int write_image(struct image *image, int fd, struct ktstr_error *error)
{
	int err;

	/* What is not written below is to be zero. */
	if (ftruncate(fd, 0) || ftruncate(fd, (off_t)(image->nr_blocks * EROFS_BLOCK)))
		return ktstr_error__set(error, errno, "write", "root image", NULL);
	err = write_at(fd, 0, image->meta, image->meta_size, error);
	for (size_t i = 0; !err && i < image->nr_nodes; i++) {
		const struct node *node = &image->nodes[i];

		if (is_dir(node) || !node->size)
			continue;
		if (node->entry->kind == TREE_DATA)
			err = write_at(fd, node->start, node->entry->data, node->size, error);
		else if (node->entry->kind == TREE_FILE)
			err = write_file(fd, node, error);
	}
	return err;
}

bool erofs__is_image(int fd)
{
	uint32_t magic;

	return pread(fd, &magic, sizeof(magic), SUPER_OFFSET) == (ssize_t)sizeof(magic) &&
	       le32toh(magic) == SUPER_MAGIC;
}

int erofs__write(struct tree *tree, int fd, uint64_t *size, struct ktstr_error *error)
{
	struct image image = {.tree = tree};
	int err = make_nodes(&image, error);

	if (!err)
		err = make_names(&image, error);
	if (!err)
		err = place(&image, error);
	if (!err)
		err = fill_meta(&image, error);
	if (!err) {
		fill_super(&image);
		err = write_image(&image, fd, error);
	}
	if (!err)
		*size = image.nr_blocks * EROFS_BLOCK;
	free(image.nodes);
	free(image.names);
	free(image.meta);
	return err;
}
