/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of the errors that loading modules, mounting and executing give. */
#ifndef KTSTR_STAGE1_ERRNO_NAME_H
#define KTSTR_STAGE1_ERRNO_NAME_H

#include <linux/errno.h>

/* clang-format off */
#define ERRNO_NAMES(X) \
	X(EPERM) X(ENOENT) X(ESRCH) X(EINTR) X(EIO) X(ENXIO) X(E2BIG) X(ENOEXEC) \
	X(EBADF) X(ECHILD) X(EAGAIN) X(ENOMEM) X(EACCES) X(EFAULT) X(ENOTBLK) \
	X(EBUSY) X(EEXIST) X(EXDEV) X(ENODEV) X(ENOTDIR) X(EISDIR) X(EINVAL) \
	X(ENFILE) X(EMFILE) X(ENOTTY) X(ETXTBSY) X(EFBIG) X(ENOSPC) X(ESPIPE) \
	X(EROFS) X(EMLINK) X(EPIPE) X(ENAMETOOLONG) X(ENOSYS) X(ELOOP) X(ENODATA) \
	X(EBADMSG) X(EOVERFLOW) X(ELIBBAD) X(EOPNOTSUPP) X(ETIMEDOUT) X(ESTALE) \
	X(EUCLEAN) X(EKEYREJECTED) X(ENOKEY)
/* clang-format on */

/* "ENOENT"; a null pointer for what is not among them. */
static inline const char *errno_name(long error)
{
	switch (error) {
#define X(name)    \
	case name: \
		return #name;
		ERRNO_NAMES(X)
#undef X
	default:
		return 0;
	}
}

#endif /* KTSTR_STAGE1_ERRNO_NAME_H */
