/*
 * Prints the values of this machine's <linux/fuse.h> as JSON, for test/unit/fuse/layout.test.ts:
 * sizes and offsets of the structures, opcodes, and constants. It omits values that an older header
 * lacks.
 */
#include <linux/fs.h>
#include <linux/fuse.h>
#include <linux/xattr.h>
#include <stddef.h>
#include <stdio.h>

#define SINCE(minor) (FUSE_KERNEL_MINOR_VERSION >= (minor))

static const char *separator = "";

static void entry(const char *name, unsigned long long value)
{
	printf("%s\n    \"%s\": %llu", separator, name, value);
	separator = ",";
}

static void begin(const char *section)
{
	printf("%s\n  \"%s\": {", separator, section);
	separator = "";
}

static void end(void)
{
	printf("\n  }");
	separator = ",";
}

#define SIZE(type) entry(#type, sizeof(struct type))
#define FIELD(type, field) entry(#type "." #field, offsetof(struct type, field))
#define VALUE(name) entry(#name, (unsigned int)(name))

static void sizes(void)
{
	SIZE(fuse_in_header);
	SIZE(fuse_out_header);
	SIZE(fuse_attr);
	SIZE(fuse_entry_out);
	SIZE(fuse_attr_out);
	SIZE(fuse_open_out);
	SIZE(fuse_write_out);
	SIZE(fuse_statfs_out);
	SIZE(fuse_poll_out);
	SIZE(fuse_init_out);
	SIZE(fuse_dirent);
	SIZE(fuse_forget_one);
	SIZE(fuse_notify_poll_wakeup_out);
	SIZE(fuse_forget_in);
	SIZE(fuse_getattr_in);
	SIZE(fuse_setattr_in);
	SIZE(fuse_mkdir_in);
	SIZE(fuse_mknod_in);
	SIZE(fuse_link_in);
	SIZE(fuse_rename_in);
	SIZE(fuse_rename2_in);
	SIZE(fuse_getxattr_in);
	SIZE(fuse_getxattr_out);
	SIZE(fuse_open_in);
	SIZE(fuse_create_in);
	SIZE(fuse_read_in);
	SIZE(fuse_write_in);
	SIZE(fuse_release_in);
	SIZE(fuse_fsync_in);
	SIZE(fuse_init_in);
	SIZE(fuse_interrupt_in);
	SIZE(fuse_poll_in);
	SIZE(fuse_batch_forget_in);
}

#if SINCE(32)
#define ATTR_FLAGS(type) FIELD(type, flags)
#define ATTR_IN_FLAGS(type) FIELD(type, attr.flags)
#else
#define ATTR_FLAGS(type) (void)0
#define ATTR_IN_FLAGS(type) (void)0
#endif

#define ATTR_FIELDS(type)                                                      \
	do {                                                                   \
		FIELD(type, attr.ino);                                         \
		FIELD(type, attr.size);                                        \
		FIELD(type, attr.blocks);                                      \
		FIELD(type, attr.atime);                                       \
		FIELD(type, attr.mtime);                                       \
		FIELD(type, attr.ctime);                                       \
		FIELD(type, attr.atimensec);                                   \
		FIELD(type, attr.mtimensec);                                   \
		FIELD(type, attr.ctimensec);                                   \
		FIELD(type, attr.mode);                                        \
		FIELD(type, attr.nlink);                                       \
		FIELD(type, attr.uid);                                         \
		FIELD(type, attr.gid);                                         \
		FIELD(type, attr.rdev);                                        \
		FIELD(type, attr.blksize);                                     \
		ATTR_IN_FLAGS(type);                                           \
	} while (0)

static void attr_fields(void)
{
	FIELD(fuse_attr, ino);
	FIELD(fuse_attr, size);
	FIELD(fuse_attr, blocks);
	FIELD(fuse_attr, atime);
	FIELD(fuse_attr, mtime);
	FIELD(fuse_attr, ctime);
	FIELD(fuse_attr, atimensec);
	FIELD(fuse_attr, mtimensec);
	FIELD(fuse_attr, ctimensec);
	FIELD(fuse_attr, mode);
	FIELD(fuse_attr, nlink);
	FIELD(fuse_attr, uid);
	FIELD(fuse_attr, gid);
	FIELD(fuse_attr, rdev);
	FIELD(fuse_attr, blksize);
	ATTR_FLAGS(fuse_attr);
}

static void header_fields(void)
{
	FIELD(fuse_in_header, len);
	FIELD(fuse_in_header, opcode);
	FIELD(fuse_in_header, unique);
	FIELD(fuse_in_header, nodeid);
	FIELD(fuse_in_header, uid);
	FIELD(fuse_in_header, gid);
	FIELD(fuse_in_header, pid);
#if SINCE(38)
	FIELD(fuse_in_header, total_extlen);
	FIELD(fuse_in_header, padding);
#endif
	FIELD(fuse_out_header, len);
	FIELD(fuse_out_header, error);
	FIELD(fuse_out_header, unique);
}

static void reply_fields(void)
{
	FIELD(fuse_entry_out, nodeid);
	FIELD(fuse_entry_out, generation);
	FIELD(fuse_entry_out, entry_valid);
	FIELD(fuse_entry_out, attr_valid);
	FIELD(fuse_entry_out, entry_valid_nsec);
	FIELD(fuse_entry_out, attr_valid_nsec);
	ATTR_FIELDS(fuse_entry_out);
	FIELD(fuse_attr_out, attr_valid);
	FIELD(fuse_attr_out, attr_valid_nsec);
	FIELD(fuse_attr_out, dummy);
	ATTR_FIELDS(fuse_attr_out);
	FIELD(fuse_open_out, fh);
	FIELD(fuse_open_out, open_flags);
#if SINCE(40)
	FIELD(fuse_open_out, backing_id);
#else
	entry("fuse_open_out.backing_id", offsetof(struct fuse_open_out, padding));
#endif
	FIELD(fuse_write_out, size);
	FIELD(fuse_write_out, padding);
	FIELD(fuse_poll_out, revents);
	FIELD(fuse_poll_out, padding);
	FIELD(fuse_notify_poll_wakeup_out, kh);
	FIELD(fuse_dirent, ino);
	FIELD(fuse_dirent, off);
	FIELD(fuse_dirent, namelen);
	FIELD(fuse_dirent, type);
	FIELD(fuse_dirent, name);
	FIELD(fuse_statfs_out, st.blocks);
	FIELD(fuse_statfs_out, st.bfree);
	FIELD(fuse_statfs_out, st.bavail);
	FIELD(fuse_statfs_out, st.files);
	FIELD(fuse_statfs_out, st.ffree);
	FIELD(fuse_statfs_out, st.bsize);
	FIELD(fuse_statfs_out, st.namelen);
	FIELD(fuse_statfs_out, st.frsize);
	FIELD(fuse_init_out, major);
	FIELD(fuse_init_out, minor);
	FIELD(fuse_init_out, max_readahead);
	FIELD(fuse_init_out, flags);
	FIELD(fuse_init_out, max_background);
	FIELD(fuse_init_out, congestion_threshold);
	FIELD(fuse_init_out, max_write);
	FIELD(fuse_init_out, time_gran);
	FIELD(fuse_init_out, max_pages);
	FIELD(fuse_init_out, map_alignment);
#if SINCE(36)
	FIELD(fuse_init_out, flags2);
#endif
}

static void request_fields(void)
{
	FIELD(fuse_forget_in, nlookup);
	FIELD(fuse_forget_one, nodeid);
	FIELD(fuse_forget_one, nlookup);
	FIELD(fuse_batch_forget_in, count);
	FIELD(fuse_batch_forget_in, dummy);
	FIELD(fuse_getattr_in, getattr_flags);
	FIELD(fuse_getattr_in, dummy);
	FIELD(fuse_getattr_in, fh);
	FIELD(fuse_setattr_in, valid);
	FIELD(fuse_setattr_in, padding);
	FIELD(fuse_setattr_in, fh);
	FIELD(fuse_setattr_in, size);
	FIELD(fuse_setattr_in, lock_owner);
	FIELD(fuse_setattr_in, atime);
	FIELD(fuse_setattr_in, mtime);
	FIELD(fuse_setattr_in, ctime);
	FIELD(fuse_setattr_in, atimensec);
	FIELD(fuse_setattr_in, mtimensec);
	FIELD(fuse_setattr_in, ctimensec);
	FIELD(fuse_setattr_in, mode);
	FIELD(fuse_setattr_in, unused4);
	FIELD(fuse_setattr_in, uid);
	FIELD(fuse_setattr_in, gid);
	FIELD(fuse_setattr_in, unused5);
	FIELD(fuse_mknod_in, mode);
	FIELD(fuse_mknod_in, rdev);
	FIELD(fuse_mknod_in, umask);
	FIELD(fuse_mknod_in, padding);
	FIELD(fuse_link_in, oldnodeid);
	FIELD(fuse_rename_in, newdir);
	FIELD(fuse_rename2_in, newdir);
	FIELD(fuse_rename2_in, flags);
	FIELD(fuse_rename2_in, padding);
	FIELD(fuse_getxattr_in, size);
	FIELD(fuse_getxattr_in, padding);
	FIELD(fuse_mkdir_in, mode);
	FIELD(fuse_mkdir_in, umask);
	FIELD(fuse_open_in, flags);
	FIELD(fuse_create_in, flags);
	FIELD(fuse_create_in, mode);
	FIELD(fuse_create_in, umask);
#if SINCE(33)
	FIELD(fuse_open_in, open_flags);
	FIELD(fuse_create_in, open_flags);
#endif
	FIELD(fuse_fsync_in, fh);
	FIELD(fuse_fsync_in, fsync_flags);
	FIELD(fuse_fsync_in, padding);
	FIELD(fuse_release_in, fh);
	FIELD(fuse_release_in, flags);
	FIELD(fuse_release_in, release_flags);
	FIELD(fuse_release_in, lock_owner);
	FIELD(fuse_read_in, fh);
	FIELD(fuse_read_in, offset);
	FIELD(fuse_read_in, size);
	FIELD(fuse_read_in, read_flags);
	FIELD(fuse_read_in, lock_owner);
	FIELD(fuse_read_in, flags);
	FIELD(fuse_read_in, padding);
	FIELD(fuse_write_in, fh);
	FIELD(fuse_write_in, offset);
	FIELD(fuse_write_in, size);
	FIELD(fuse_write_in, write_flags);
	FIELD(fuse_write_in, lock_owner);
	FIELD(fuse_write_in, flags);
	FIELD(fuse_write_in, padding);
	FIELD(fuse_interrupt_in, unique);
	FIELD(fuse_poll_in, fh);
	FIELD(fuse_poll_in, kh);
	FIELD(fuse_poll_in, flags);
	FIELD(fuse_poll_in, events);
	FIELD(fuse_init_in, major);
	FIELD(fuse_init_in, minor);
	FIELD(fuse_init_in, max_readahead);
	FIELD(fuse_init_in, flags);
#if SINCE(36)
	FIELD(fuse_init_in, flags2);
#endif
}

static void opcodes(void)
{
	VALUE(FUSE_LOOKUP);
	VALUE(FUSE_FORGET);
	VALUE(FUSE_GETATTR);
	VALUE(FUSE_SETATTR);
	VALUE(FUSE_READLINK);
	VALUE(FUSE_SYMLINK);
	VALUE(FUSE_MKNOD);
	VALUE(FUSE_MKDIR);
	VALUE(FUSE_UNLINK);
	VALUE(FUSE_RMDIR);
	VALUE(FUSE_RENAME);
	VALUE(FUSE_LINK);
	VALUE(FUSE_OPEN);
	VALUE(FUSE_READ);
	VALUE(FUSE_WRITE);
	VALUE(FUSE_STATFS);
	VALUE(FUSE_RELEASE);
	VALUE(FUSE_FSYNC);
	VALUE(FUSE_SETXATTR);
	VALUE(FUSE_GETXATTR);
	VALUE(FUSE_LISTXATTR);
	VALUE(FUSE_REMOVEXATTR);
	VALUE(FUSE_FLUSH);
	VALUE(FUSE_INIT);
	VALUE(FUSE_OPENDIR);
	VALUE(FUSE_READDIR);
	VALUE(FUSE_RELEASEDIR);
	VALUE(FUSE_FSYNCDIR);
	VALUE(FUSE_GETLK);
	VALUE(FUSE_SETLK);
	VALUE(FUSE_SETLKW);
	VALUE(FUSE_ACCESS);
	VALUE(FUSE_CREATE);
	VALUE(FUSE_INTERRUPT);
	VALUE(FUSE_BMAP);
	VALUE(FUSE_DESTROY);
	VALUE(FUSE_IOCTL);
	VALUE(FUSE_POLL);
	VALUE(FUSE_NOTIFY_REPLY);
	VALUE(FUSE_BATCH_FORGET);
	VALUE(FUSE_FALLOCATE);
	VALUE(FUSE_READDIRPLUS);
	VALUE(FUSE_RENAME2);
	VALUE(FUSE_LSEEK);
	VALUE(FUSE_COPY_FILE_RANGE);
	/* Enumerators: the preprocessor can't be asked for them. */
#if SINCE(31)
	VALUE(FUSE_SETUPMAPPING);
	VALUE(FUSE_REMOVEMAPPING);
#endif
#if SINCE(34)
	VALUE(FUSE_SYNCFS);
#endif
#if SINCE(37)
	VALUE(FUSE_TMPFILE);
#endif
#if SINCE(39)
	VALUE(FUSE_STATX);
#endif
#if SINCE(45)
	VALUE(FUSE_COPY_FILE_RANGE_64);
#endif
}

static void constants(void)
{
	VALUE(FUSE_KERNEL_VERSION);
	VALUE(FUSE_KERNEL_MINOR_VERSION);
	VALUE(FUSE_ROOT_ID);
	VALUE(FUSE_MIN_READ_BUFFER);
	VALUE(FUSE_ASYNC_READ);
	VALUE(FUSE_ATOMIC_O_TRUNC);
	VALUE(FUSE_BIG_WRITES);
	VALUE(FUSE_PARALLEL_DIROPS);
	VALUE(FUSE_ABORT_ERROR);
	VALUE(FUSE_MAX_PAGES);
	VALUE(FUSE_CACHE_SYMLINKS);
	VALUE(FUSE_NO_OPENDIR_SUPPORT);
#ifdef FUSE_INIT_EXT
	VALUE(FUSE_INIT_EXT);
#endif
	VALUE(FOPEN_DIRECT_IO);
	VALUE(FOPEN_NONSEEKABLE);
	VALUE(FOPEN_STREAM);
#ifdef FOPEN_NOFLUSH
	VALUE(FOPEN_NOFLUSH);
#endif
#ifdef FOPEN_PARALLEL_DIRECT_WRITES
	VALUE(FOPEN_PARALLEL_DIRECT_WRITES);
#endif
	VALUE(FATTR_MODE);
	VALUE(FATTR_UID);
	VALUE(FATTR_GID);
	VALUE(FATTR_SIZE);
	VALUE(FATTR_ATIME);
	VALUE(FATTR_MTIME);
	VALUE(FATTR_FH);
	VALUE(FATTR_ATIME_NOW);
	VALUE(FATTR_MTIME_NOW);
	VALUE(RENAME_NOREPLACE);
	VALUE(XATTR_CREATE);
	VALUE(XATTR_REPLACE);
#ifdef FUSE_COMPAT_SETXATTR_IN_SIZE
	VALUE(FUSE_COMPAT_SETXATTR_IN_SIZE);
#endif
	VALUE(FUSE_GETATTR_FH);
	VALUE(FUSE_READ_LOCKOWNER);
	VALUE(FUSE_POLL_SCHEDULE_NOTIFY);
	VALUE(FUSE_NOTIFY_POLL);
}

int main(void)
{
	printf("{");
	begin("sizes");
	sizes();
	end();
	begin("offsets");
	header_fields();
	attr_fields();
	reply_fields();
	request_fields();
	end();
	begin("opcodes");
	opcodes();
	end();
	begin("constants");
	constants();
	end();
	printf("\n}\n");
	return 0;
}
