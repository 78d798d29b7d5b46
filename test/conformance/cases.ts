/**
 * A data table, and so exempt from the bound of 500 lines: statements of POSIX and Linux's manual
 * pages about file system calls. system.ts describes their syntax and runs them. go-fuse's
 * posixtest and pjdfstest served as lists of topics.
 *
 * Differences from a disk's filesystem are cases too: a process directory holds no directories, an
 * event is at most 64 KiB, reading does not change an access time.
 */
interface Case {
  readonly name: string;
  readonly script: string;
}

/** @param cases by name; the group's name goes before it */
const group = (about: string, cases: Readonly<Record<string, string>>): readonly Case[] =>
  Object.entries(cases).map(([name, script]) => ({ name: `${about}: ${name}`, script }));

const FIFO = '10600';
const SOCKET = '140600';

const LINKS = group('link', {
  'gives a file another name, and nlink counts both': `
    put a hello
    link a b
    nlink a = 2
    nlink b = 2
    same a b = yes
    cat b = hello
    unlink a
    nlink b = 1
    cat b = hello`,
  'goes into another directory too': `
    put a hello
    link a ../other/b
    nlink a = 2
    same a ../other/b = yes
    put a changed
    cat ../other/b = changed
    size ../other/b = 7`,
  'is refused over a name that is there': `
    put a 1
    put b 2
    link a b = EEXIST
    link a a = EEXIST
    link a .. = EEXIST
    nlink a = 1`,
  'is refused of nothing, and of directories': `
    link none b = ENOENT
    link . b = EPERM
    link ../other b = EPERM`,
  'is refused where there are no queues': `
    put a 1
    link a ../b = EPERM
    link a ../log/b = EPERM`,
  'is refused under a name that means something else': `
    put a 1
    link a .stream = EEXIST
    link a .filter = EEXIST
    link a head = EEXIST
    link a ../other/head = EEXIST
    link a ../other/tail = EEXIST`,
  'does not follow a symlink': `
    put a 1
    link head b = EPERM`,
  'changes the ctime of the file and the times of the directory': `
    put a 1
    note a
    note .
    link a b
    changed a = ctime
    changed . = mtime ctime`,
  'is refused of a file that has no name any more': `
    put a 1
    open 1 a r
    unlink a
    linkfd 1 b = ENOENT
    names . = nothing`,
  'is refused out of the mount with EXDEV': `
    put a 1
    link a /tmp/eventfs-exdev = EXDEV
    link /etc/passwd b = EXDEV`,
});

const UNLINK = group('unlink', {
  'takes the name away, and the file when it was the last': `
    put a 1
    unlink a
    size a = ENOENT
    names . = nothing
    unlink a = ENOENT`,
  'leaves a file that is open as it is, with no name and no .fuse_hidden': `
    put a hello
    open 1 a rw
    unlink a
    names . = nothing
    fnlink 1 = 0
    fsize 1 = 5
    pread 1 10 0 = hello
    pwrite 1 J 0 = 1
    ftruncate 1 3
    pread 1 10 0 = Jel
    fchmod 1 600
    fmode 1 = 600
    put a new
    pread 1 10 0 = Jel
    cat a = new
    close 1`,
  'leaves the other links of an open file': `
    put a hello
    link a ../other/a
    open 1 a rw
    unlink a
    fnlink 1 = 1
    write 1 J
    cat ../other/a = Jello`,
  'is refused of a directory': `
    unlink . = EISDIR
    unlink ../other = EISDIR
    unlink ../log = EISDIR`,
  'is refused of what is always there': `
    unlink .stream = EPERM
    unlink .filter = EPERM
    unlink .status = EPERM
    unlink ../publish = EPERM
    unlink ../stream = EPERM`,
  'is refused through what is no directory': `
    put a 1
    unlink a/b = ENOTDIR
    unlink none/b = ENOENT`,
  'changes the ctime of the file that stays and the times of the directory': `
    put a 1
    link a b
    note b
    note .
    unlink a
    changed b = ctime
    changed . = mtime ctime`,
  'of head and tail takes the event off': `
    put a 1
    put b 2
    put c 3
    unlink head
    names . = b c
    unlink tail
    names . = b
    unlink head
    unlink head = ENOENT
    readlink tail = ENOENT`,
});

const RENAME = group('rename', {
  'gives a file another name in its place': `
    put a 1
    put b 2
    put c 3
    rename a d
    names . = d b c
    cat d = 1
    size a = ENOENT`,
  'replaces a file that is there': `
    put a 1
    put b 2
    open 1 b r
    rename a b
    names . = b
    cat b = 1
    read 1 10 = 2
    fnlink 1 = 0`,
  'onto itself does nothing': `
    put a 1
    rename a a
    rename ./a a
    cat a = 1
    names . = a`,
  'of one of two links to a file onto the other leaves both': `
    put a 1
    link a b
    rename a b
    names . = a b
    nlink a = 2
    link a ../other/a
    rename a ../other/a
    names . = a b
    nlink b = 3`,
  'into another directory moves the file to its end': `
    put a 1
    put ../other/x 2
    open 1 a rw
    rename a ../other/a
    names . = nothing
    names ../other = x a
    nlink ../other/a = 1
    write 1 9
    cat ../other/a = 9`,
  'into another directory over a file frees that': `
    put a 1
    put ../other/a 2
    put ../other/b 3
    rename a ../other/a
    names ../other = b a
    cat ../other/a = 1
    names . = nothing`,
  'with RENAME_NOREPLACE is refused over a file': `
    put a 1
    put b 2
    rename a b 1 = EEXIST
    rename a head 1 = EEXIST
    rename a c 1
    cat b = 2
    cat c = 1
    rename c ../other/head 1 = EEXIST
    rename c ../other/.filter 1 = EEXIST`,
  'with RENAME_EXCHANGE or RENAME_WHITEOUT is refused': `
    put a 1
    put b 2
    rename a b 2 = EINVAL
    rename a b 4 = EINVAL
    rename a b 3 = EINVAL
    cat a = 1`,
  'of nothing is refused': `
    rename none b = ENOENT
    rename none/x b = ENOENT
    rename none ../other/b = ENOENT`,
  'between a file and a directory is refused': `
    put a 1
    rename a ../other = EISDIR
    rename ../other a = ENOTDIR`,
  'of directories is refused, for a process directory stays where it is': `
    rename ../other ../else = EPERM
    rename ../other ../own = EPERM
    rename ../log ../else = EPERM`,
  'of and over what is always there is refused': `
    put a 1
    rename .stream x = EPERM
    rename a .stream = EPERM
    rename a head = EPERM
    rename a ../log/a = EPERM
    rename a ../a = EPERM
    names . = a`,
  'changes the times of both directories': `
    put a 1
    note .
    note ../other
    rename a ../other/a
    changed . = mtime ctime
    changed ../other = mtime ctime
    note .
    put b 1
    note .
    rename b c
    changed . = mtime ctime`,
  'changes the ctime of the file': `
    put a 1
    note a
    rename a a2
    ctime a2
    put b 1
    note b
    rename b x
    rename x b
    changed b = ctime`,
  'takes names of 255 bytes and not of 256': `
    put a 1
    rename a {255}
    rename {255} {256} = ENAMETOOLONG
    names . = {255}
    rename {255} a`,
  'out of the mount is EXDEV': `
    put a 1
    rename a /tmp/eventfs-exdev = EXDEV
    cat a = 1`,
});

const OPEN = group('open', {
  'with O_CREAT makes a file with the mode and the user that asked': `
    open 1 a w|creat 640
    mode a = 640
    uid a = 0
    size a = 0
    nlink a = 1
    type a = file`,
  'with O_CREAT of a file that is there opens it, mode and all': `
    put a hello 600
    open 1 a rw|creat 644
    mode a = 600
    read 1 10 = hello`,
  'with O_CREAT and O_EXCL is refused of what is there': `
    open 1 a w|creat|excl
    open 2 a w|creat|excl = EEXIST
    open 2 head w|creat|excl = EEXIST
    open 2 .filter w|creat|excl = EEXIST
    open 2 ../other w|creat|excl = EEXIST`,
  'with O_CREAT is refused of head and tail while the queue is empty': `
    open 1 head w|creat = EEXIST
    open 1 tail w|creat|excl = EEXIST
    names . = nothing`,
  'of nothing is refused': `
    open 1 none r = ENOENT
    open 1 none/a r = ENOENT
    open 1 none/a w|creat = ENOENT
    open 1 head r = ENOENT`,
  'of a directory to write is refused': `
    open 1 . w = EISDIR
    open 1 . rw = EISDIR
    open 1 ../other w = EISDIR
    open 1 . w|creat = EISDIR
    open 1 . r
    read 1 10 = EISDIR`,
  'through a file is refused': `
    put a 1
    open 1 a/b r = ENOTDIR
    open 1 a/b w|creat = ENOTDIR
    open 1 a/.. r = ENOTDIR`,
  'with O_DIRECTORY is refused of all else': `
    put a 1
    open 1 a r|directory = ENOTDIR
    open 1 .status r|directory = ENOTDIR
    open 1 . r|directory`,
  'with O_TRUNC empties the file': `
    put a hello
    open 1 a w|trunc
    size a = 0
    write 1 x
    cat a = x`,
  'with O_TRUNC changes mtime and ctime': `
    put a hello
    note a
    open 1 a w|trunc
    changed a = mtime ctime`,
  'with O_APPEND writes at the end, whatever the offset': `
    put a hello
    open 1 a rw|append
    lseek 1 0 0
    write 1 1
    lseek 1 1 0
    write 1 2
    cat a = hello12
    pread 1 3 4 = o12`,
  'with O_NOFOLLOW is refused of head and tail': `
    put a 1
    open 1 head r = 0
    open 2 head r|nofollow = ELOOP
    open 2 tail r|nofollow = ELOOP
    open 2 a r|nofollow = 0
    open 2 head r|directory = ENOTDIR`,
  'with O_CREAT through head opens the event': `
    put a 1
    open 1 head rw|creat = 0
    write 1 2
    cat a = 2`,
  'of a name of 256 bytes is refused, and of a path of 4096': `
    put {255} 1
    cat {255} = 1
    open 1 {256} r = ENAMETOOLONG
    open 1 {256} w|creat = ENAMETOOLONG
    open 1 {4095} r = ENAMETOOLONG
    open 1 {4096} r = ENAMETOOLONG`,
  'to read gives a descriptor that cannot write, and the other way round': `
    put a 1
    open 1 a r
    write 1 x = EBADF
    ftruncate 1 0 = EINVAL
    open 2 a w
    read 2 10 = EBADF`,
  'with O_PATH gives a descriptor that only names': `
    put a 1
    open 1 a path
    read 1 10 = EBADF
    fchmod 1 600 = EBADF
    fsize 1 = 1
    open 2 head path|nofollow
    fsize 2 = 1`,
  'with O_TMPFILE is refused': `
    open 1 . rw|tmpfile 600 = EOPNOTSUPP`,
  'of an event that was delivered to write is refused': `
    open 1 ../publish w
    write 1 add@/x%0AACTION=add%0A
    open 2 head w = EPERM
    open 2 head rw = EPERM
    open 2 head r|append = 0
    open 2 head w|trunc = EPERM`,
  'does not change the times of what it opens': `
    put a 1
    note a
    note .
    open 1 a rw
    read 1 10
    close 1
    changed a = nothing
    changed . = nothing`,
  'that makes a file changes the times of the directory': `
    note .
    open 1 a w|creat
    changed . = mtime ctime`,
});

const NAMES = group('names', {
  'hold any byte but the slash and NUL': `
    put %01%02%7F 1
    put %FF%FE 2
    put %0A 3
    put %20 4
    put *?[ 5
    put -rf 6
    cat %01%02%7F = 1
    cat %FF%FE = 2
    cat %0A = 3
    cat %20 = 4
    cat *?[ = 5
    unlink %FF%FE
    unlink %0A`,
  'may begin with a dot, and are told apart by case': `
    put .hidden 1
    put ... 2
    put A 3
    put a 4
    names . = .hidden ... A a`,
  'have at most 255 bytes, for every call': `
    mkdir ../{256} = ENAMETOOLONG
    mknod {256} ${FIFO} 0 = ENAMETOOLONG
    symlink x {256} = ENAMETOOLONG
    put a 1
    link a {256} = ENAMETOOLONG
    link a {255}
    size {256} = ENAMETOOLONG
    unlink {256} = ENAMETOOLONG
    rmdir {256} = ENAMETOOLONG
    chmod {256} 600 = ENAMETOOLONG
    truncate {256} 0 = ENAMETOOLONG
    mkdir ../{255} 755
    rmdir ../{255}`,
});

const FILES = group('a file', {
  'is read and written at any offset': `
    open 1 a rw|creat
    write 1 hello = 5
    pwrite 1 J 0 = 1
    pread 1 3 1 = ell
    read 1 10 = nothing
    lseek 1 1 0 = 1
    read 1 2 = el
    lseek 1 0 1 = 3
    write 1 p = 1
    cat a = Jelpo
    pread 1 10 5 = nothing
    pread 1 10 500 = nothing
    lseek 1 -2 2 = 3
    lseek 1 -1 0 = EINVAL`,
  'has zeros where nothing was written': `
    open 1 a rw|creat
    pwrite 1 x 4 = 1
    pread 1 10 0 = %00%00%00%00x
    size a = 5`,
  'is cut and grown by truncate, with zeros': `
    put a hello
    truncate a 3
    cat a = hel
    truncate a 5
    cat a = hel%00%00
    truncate a 0
    size a = 0
    open 1 a rw
    ftruncate 1 2
    cat a = %00%00
    truncate a -1 = EINVAL
    ftruncate 1 -1 = EINVAL`,
  'keeps its offset when it is cut': `
    open 1 a rw|creat
    write 1 hello
    ftruncate 1 1
    read 1 10 = nothing
    write 1 x
    cat a = h%00%00%00%00x`,
  'shows no old bytes when it grows again': `
    put a secretsecret
    truncate a 1
    truncate a 12
    cat a = s%00%00%00%00%00%00%00%00%00%00%00`,
  'has at most 64 KiB': `
    open 1 a rw|creat
    fill 1 65536 0 = 65536
    size a = 65536
    pwrite 1 x 65535 = 1
    pwrite 1 x 65536 = EFBIG
    pwrite 1 xx 65535 = EFBIG
    truncate a 65537 = EFBIG
    ftruncate 1 65537 = EFBIG
    size a = 65536
    truncate a 65536
    blocks a = 128`,
  'cannot be cut where it is a directory or nothing': `
    truncate . 0 = EISDIR
    truncate ../other 0 = EISDIR
    truncate none 0 = ENOENT`,
  'that was delivered cannot be cut': `
    open 1 ../publish w
    write 1 add@/x%0AACTION=add%0A
    truncate head 0 = EPERM
    truncate head 100000 = EPERM`,
  'has mtime and ctime changed by write and truncate, not by read': `
    put a hello
    note a
    open 1 a rw
    write 1 x
    changed a = mtime ctime
    note a
    truncate a 3
    changed a = mtime ctime
    note a
    ftruncate 1 2
    changed a = mtime ctime
    note a
    read 1 10
    pread 1 10 0
    changed a = nothing`,
  'is written and read by two descriptors at once': `
    open 1 a w|creat
    open 2 a r
    write 1 hello
    read 2 10 = hello
    read 2 10 = nothing
    write 1 more
    read 2 10 = more`,
  'shares its offset between duplicates of a descriptor': `
    put a hello
    open 1 a r
    dup 1 2
    read 1 2 = he
    read 2 2 = ll`,
  'is synced': `
    open 1 a w|creat
    write 1 x
    fsync 1 = 0
    fdatasync 1 = 0
    open 2 . r
    fsync 2 = 0`,
  'has neither holes nor room set aside': `
    put a hello
    open 1 a rw
    lseek 1 0 3 = 0
    lseek 1 0 4 = 5
    lseek 1 5 3 = ENXIO
    fallocate 1 0 0 100 = EOPNOTSUPP
    fallocate 1 3 0 1 = EOPNOTSUPP
    size a = 5`,
  'is copied by copy_file_range': `
    put a hello
    open 1 a r
    open 2 b rw|creat
    copy_file_range 1 2 100 = EINVAL
    size b = 0`,
  'of a process is not read into the page cache: sendfile, splice, a mapping': `
    put a hello
    open 1 a r
    open 2 b w|creat
    pipe 3 4
    sendfile 1 4 100 = EINVAL
    splice 1 4 100 = EINVAL
    mmap 1 0 = EFAULT
    mmap 1 1 = ENODEV
    read 1 100 = hello`,
  'of log/ can be sent, spliced and mapped': `
    open 1 ../publish w
    write 1 add@/x%0AACTION=add%0A
    open 1 ../log/tail r
    pipe 3 4
    sendfile 1 4 100 = 18
    read 3 100 = add@/x%0AACTION=add%0A
    open 2 ../log/tail r
    splice 2 4 100 = 18
    read 3 100 = add@/x%0AACTION=add%0A
    mmap 2 0 = add@/x%0AACTION=add%0A
    mmap 2 1 = add@/x%0AACTION=add%0A`,
  'is locked by flock against other open files': `
    put a 1
    open 1 a rw
    open 2 a rw
    flock 1 6 = 0
    flock 2 6 = EAGAIN
    flock 2 5 = EAGAIN
    flock 1 8 = 0
    flock 2 5 = 0
    flock 1 5 = 0`,
  'is locked by fcntl against other processes': `
    put a hello 666
    open 1 a rw
    lock 1 1 0 2 = 0
    alice: open 1 a rw
    alice: lock 1 1 0 1 = EAGAIN
    alice: lock 1 1 2 2 = 0
    lock 1 2 0 2 = 0
    alice: lock 1 1 0 1 = 0`,
});

const DIRECTORIES = group('a directory', {
  'is made empty, with the mode and the user that asked': `
    alice: mkdir ../alice 750
    mode ../alice = 750
    uid ../alice = 1001
    gid ../alice = 1001
    nlink ../alice = 2
    type ../alice = directory
    names ../alice = nothing`,
  'is refused where there is something': `
    mkdir ../other = EEXIST
    mkdir ../log = EEXIST
    mkdir . = EEXIST
    mkdir .. = EEXIST
    put a 1
    mkdir a = EEXIST`,
  'is refused in a process directory, log/ and match/': `
    mkdir sub = EPERM
    mkdir head = EEXIST
    mkdir ../log/sub = EPERM
    mkdir none/sub = ENOENT
    put a 1
    mkdir a/sub = ENOTDIR`,
  'counts as a link of the root': `
    rmdir ../other
    nlink .. = 5
    mkdir ../other
    nlink .. = 6`,
  'is removed by its owner, whatever it holds': `
    put ../other/a 1
    mknod ../other/f ${FIFO}
    rmdir ../other
    size ../other = ENOENT
    rmdir ../other = ENOENT`,
  'is refused to rmdir by a name that is none, or what is no directory': `
    put a 1
    rmdir a = ENOTDIR
    rmdir head = ENOTDIR
    rmdir . = EINVAL
    rmdir ../own/.. = ENOTEMPTY
    rmdir ../log = EPERM
    rmdir ../match = EPERM
    rmdir ../stream = ENOTDIR`,
  'changes the times of the root when it is made and removed': `
    note ..
    mkdir ../more
    changed .. = mtime ctime
    note ..
    rmdir ../more
    changed .. = mtime ctime`,
  'is listed in order, with types': `
    put c 1
    put a 2
    mknod f ${FIFO} 0
    names . = c a f
    unlink c
    put c 3
    names . = a c f`,
  'that is open is unusable once it is removed': `
    open 1 ../other r|directory
    rmdir ../other
    fsize 1 = ESTALE
    mkdir ../other
    fsize 1 = ESTALE`,
  'is read on from where it was after others have gone': `
    put a 1
    put b 2
    put c 3
    open 1 . r|directory
    getdents_some 1 80
    unlink a
    unlink b
    lseek 1 0 0 = 0
    getdents_some 1 4096
    getdents_some 1 4096 = 0`,
});

const SPECIAL = group('mknod', {
  'makes FIFOs and sockets': `
    mknod f ${FIFO} 0
    mknod s ${SOCKET} 0
    type f = fifo
    type s = socket
    mode f = 600
    nlink f = 1
    size f = 0
    names . = f s
    unlink f
    unlink s
    names . = nothing`,
  'makes a file': `
    mknod a 100640 0
    type a = file
    mode a = 640
    cat a = nothing`,
  'makes no devices and no directories': `
    mknod c 20600 259 = EPERM
    mknod b 60600 2048 = EPERM
    names . = nothing`,
  'is refused of a name that is there': `
    put a 1
    mknod a ${FIFO} 0 = EEXIST
    mknod a 100600 0 = EEXIST
    mknod f ${FIFO} 0
    mknod f ${FIFO} 0 = EEXIST
    put f2 1
    mknod .stream ${FIFO} 0 = EEXIST
    mknod head ${FIFO} 0 = EEXIST`,
  'is refused of head and tail, also while the queue is empty': `
    mknod head ${FIFO} 0 = EEXIST
    mknod tail ${SOCKET} 0 = EEXIST
    mknod tail 100600 0 = EEXIST
    mknod head 20600 259 = EEXIST
    names . = nothing`,
  'is refused at the root and in log/': `
    mknod ../f ${FIFO} 0 = EPERM
    mknod ../f 100600 0 = EPERM
    mknod ../log/f ${FIFO} 0 = EPERM`,
  'of a FIFO takes chmod, chown, times, rename and unlink, but not link': `
    mknod f ${FIFO} 0
    chmod f 640
    mode f = 640
    chown f 1001 1002
    uid f = 1001
    gid f = 1002
    times f 1 2 3 4
    atime f = 1.000000002
    mtime f = 3.000000004
    link f g = EPERM
    rename f g
    type g = fifo
    rename g ../other/g
    names . = nothing
    names ../other = g
    truncate ../other/g 0 = EINVAL`,
  'replaces and is replaced by files in rename': `
    mknod f ${FIFO} 0
    put a 1
    rename a f
    type f = file
    cat f = 1
    mknod g ${FIFO} 0
    rename g f
    type f = fifo
    names . = f`,
  'makes a FIFO that carries bytes': `
    mknod f ${FIFO} 0
    open 1 f r|nonblock
    open 2 f w|nonblock
    write 2 hello
    read 1 10 = hello
    unlink f
    write 2 more
    read 1 10 = more`,
  'of a socket is bind, and its name is all that there is': `
    bind s
    type s = socket
    open 1 s r = ENXIO
    bind s = EADDRINUSE
    unlink s
    bind s`,
});

const SYMLINKS = group('symlinks', {
  'are made, and say where they lead': `
    symlink some/where a
    type a = symlink
    mode a = 777
    size a = 10
    nlink a = 1
    readlink a = some/where
    names . = a
    cat a = ENOENT
    put b 1
    symlink b c
    cat c = 1
    names . = b a c
    unlink a
    readlink a = ENOENT
    names . = b c`,
  'are no events': `
    symlink x a
    readlink head = ENOENT
    readlink tail = ENOENT
    getxattr . user.eventfs.pending = 0
    put e 1
    readlink head = e
    readlink tail = e
    getxattr . user.eventfs.pending = 1
    unlink head
    names . = a`,
  'lead to any bytes, at most 4,095': `
    symlink {4095} a
    size a = 4095
    readlink a = {4095}
    symlink {4096} b = ENAMETOOLONG
    symlink %01%0A%FE%FF c
    readlink c = %01%0A%FE%FF
    names . = a c`,
  'are refused where something is, or means something': `
    put a 1
    symlink x a = EEXIST
    symlink x head = EEXIST
    symlink x .stream = EEXIST
    symlink x .filter = EEXIST
    symlink x .since = EEXIST
    symlink x .status = EEXIST
    symlink x . = EEXIST
    symlink x ../other = EEXIST
    unlink a
    symlink x head = EEXIST
    symlink x tail = EEXIST
    symlink x a
    symlink x a = EEXIST
    mkdir a = EEXIST
    mknod a ${FIFO} 0 = EEXIST
    link ../log/.status a = EEXIST
    names . = a`,
  'are refused where there are no queues': `
    symlink a ../b = EPERM
    symlink a ../log/b = EPERM
    symlink a ../match/b = EINVAL
    symlink a ../match/A==b = EEXIST
    symlink a none/b = ENOENT
    put f 1
    symlink a f/b = ENOTDIR`,
  'take chown, rename and unlink, but not link': `
    symlink x a
    chown a 1001 1002
    uid a = 1001
    gid a = 1002
    mode a = 777
    link a b = EPERM
    note a
    rename a b
    rename b a
    changed a = ctime
    rename a ../other/b
    names . = nothing
    names ../other = b
    readlink ../other/b = x
    rename ../other/b ../b = EPERM
    rename ../other/b ../log/b = EPERM
    rename ../other/b head = EPERM
    rename ../other/b .filter = EPERM
    unlink ../other/b
    names ../other = nothing`,
  'take times': `
    symlink x a
    times a 1 2 3 4
    atime a = 1.000000002
    mtime a = 3.000000004
    note a
    readlink a
    changed a = nothing`,
  'change the times of their directory when they are made and removed': `
    note .
    symlink x a
    changed . = mtime ctime
    note .
    unlink a
    changed . = mtime ctime`,
  'replace and are replaced by other files in rename': `
    put a 1
    symlink x b
    rename a b
    type b = file
    symlink y c
    rename c b
    readlink b = y
    names . = b
    mknod f ${FIFO} 0
    rename b f
    readlink f = y
    rename f f
    symlink z ../other/f
    rename ../other/f f
    readlink f = z
    names . = f
    rename f ../other = EISDIR
    rename ../other f = ENOTDIR`,
  'are not replaced with RENAME_NOREPLACE': `
    symlink x a
    symlink y b
    rename a b 1 = EEXIST
    rename a c 1
    readlink c = x
    rename c b 2 = EINVAL`,
  'that users make are followed by what follows symlinks': `
    put a hello
    symlink a l
    symlink l m
    cat m = hello
    truncate m 2
    size a = 2
    chmod l 600
    mode a = 600
    access m 4
    open 1 m r|nofollow = ELOOP
    open 1 m w|creat|excl = EEXIST
    open 1 m/x r = ENOTDIR
    symlink new n
    put n made
    cat new = made
    symlink ../other d
    put d/in 1
    cat ../other/in = 1
    symlink loop loop
    cat loop = ELOOP
    unlink l
    cat m = ENOENT
    cat a = he`,
  'belong to who makes them, in whose directory it may be': `
    alice: symlink x a = EACCES
    chmod . 1777
    alice: symlink x a
    uid a = 1001
    gid a = 1001
    bob: unlink a = EPERM
    bob: rename a b = EPERM
    bob: readlink a = x
    alice: rename a b
    alice: unlink b`,
  'that are head and tail name the oldest and the newest': `
    put a 1
    put b 22
    put c 333
    readlink head = a
    readlink tail = c
    type head = symlink
    mode head = 777
    size tail = 1
    cat head = 1
    cat tail = 333
    readlink a = EINVAL
    readlink . = EINVAL
    readlink .stream = EINVAL`,
  'that are head and tail are followed by what follows symlinks': `
    put a hello
    truncate head 2
    size a = 2
    chmod head 600
    mode a = 600
    access head 4
    open 1 head/x r = ENOTDIR`,
  'are not owned, timed or made to point elsewhere': `
    put a 1
    chown head 1 1 = EPERM
    times head 1 0 1 0 = EPERM
    rename head x = EPERM
    rename a head = EPERM
    unlink head
    names . = nothing`,
  'that point at each other are ELOOP': `
    put tail 1 = EEXIST
    put a 1
    rename a tail = EPERM
    open 1 head r|nofollow = ELOOP`,
});

const TIMES = group('utimens', {
  'sets both times to the nanosecond, and ctime is now': `
    put a 1
    note a
    times a 1 2 3 4
    atime a = 1.000000002
    mtime a = 3.000000004
    changed a = atime mtime ctime`,
  'sets times before 1970 and after 2038': `
    put a 1
    times a -1 999999999 -100 0
    atime a = -1.999999999
    mtime a = -100.000000000
    times a 2147483648 1 4294967296 2
    atime a = 2147483648.000000001
    mtime a = 4294967296.000000002`,
  'leaves what is UTIME_OMIT': `
    put a 1
    times a 1 0 2 0
    times a 0 -2 5 0
    atime a = 1.000000000
    mtime a = 5.000000000
    times a 6 0 0 -2
    atime a = 6.000000000
    mtime a = 5.000000000
    note a
    times a 0 -2 0 -2
    changed a = nothing`,
  'sets the time that it is for UTIME_NOW': `
    put a 1
    times a 1 0 1 0
    note a
    times a 0 -1 0 -2
    changed a = atime ctime
    note a
    times a 0 -2 0 -1
    changed a = mtime ctime
    note a
    utimens a
    changed a = atime mtime ctime`,
  'sets those of a directory': `
    times . 1 2 3 4
    atime . = 1.000000002
    mtime . = 3.000000004
    times .. 5 0 6 0
    mtime .. = 6.000000000
    atime .. = 5.000000000`,
  'lets the owner set any time, and a user with write permission the present time': `
    put a 1 666
    chown a 1001 1001
    alice: times a 1 0 1 0
    bob: times a 1 0 1 0 = EPERM
    bob: times a 0 -1 0 -2 = EPERM
    bob: times a 0 -1 0 -1
    chmod a 644
    bob: times a 0 -1 0 -1 = EACCES`,
  'is refused of an event that was delivered': `
    open 1 ../publish w
    write 1 add@/x%0AACTION=add%0A
    note tail
    times tail 1 0 1 0 = EPERM`,
});

const MODES = group('chmod', {
  'sets all twelve bits': `
    put a 1
    chmod a 7777
    mode a = 7777
    chmod a 0
    mode a = 0
    chmod . 3751
    mode . = 3751
    chmod . 755`,
  'changes ctime only': `
    put a 1
    note a
    chmod a 600
    changed a = ctime
    note .
    chmod . 750
    changed . = ctime
    chmod . 755`,
  'is the user’s and root’s': `
    put a 1
    chown a 1001 1001
    alice: chmod a 666
    bob: chmod a 644 = EPERM
    alice: chmod . 777 = EPERM
    mode a = 666`,
  'drops the set-group-id bit of who is not in the group': `
    put a 1
    chown a 1001 1002
    alice: chmod a 2755
    mode a = 755
    chown a 1003 1001
    carol: chmod a 2755
    mode a = 2755`,
  'is refused of an event that was delivered, and of the dot files': `
    open 1 ../publish w
    write 1 add@/x%0AACTION=add%0A
    chmod head 777 = EPERM
    chmod .stream 777 = EPERM
    chmod .filter 777 = EPERM
    chown .filter 1001 1001 = EPERM
    chmod none 777 = ENOENT`,
});

const OWNERSHIP = group('chown', {
  'sets user and group, or one of them': `
    put a 1
    chown a 1001 1002
    uid a = 1001
    gid a = 1002
    chown a -1 1003
    uid a = 1001
    gid a = 1003
    chown a 1002 -1
    uid a = 1002
    gid a = 1003
    chown . 1001 1001
    uid . = 1001
    uid .filter = 1001`,
  'changes ctime only': `
    put a 1
    note a
    chown a 1 1
    changed a = ctime`,
  'is root’s, but for the group, which the user may choose of his': `
    put a 1
    chown a 1003 1003
    carol: chown a -1 1001
    gid a = 1001
    carol: chown a -1 1002 = EPERM
    carol: chown a 1001 -1 = EPERM
    bob: chown a -1 1002 = EPERM
    bob: chown a 1002 1002 = EPERM`,
  'drops the set-id bits': `
    put a 1
    chown a 1003 1003
    chmod a 6755
    carol: chown a -1 1001
    mode a = 755
    chmod a 6755
    chown a 0 0
    mode a = 755`,
});

const SETID = group('set-id bits', {
  'are cleared by a write of an unprivileged user': `
    put a 1 666
    chmod a 6777
    alice: open 1 a w
    mode a = 6777
    alice: write 1 x
    mode a = 777
    chmod a 6777
    alice: ftruncate 1 0
    mode a = 777
    chmod a 6777
    alice: truncate a 1
    mode a = 777
    chmod a 6777
    alice: open 1 a w|trunc
    mode a = 777`,
  'stay when root writes': `
    put a 1
    chmod a 4755
    put a 2
    mode a = 4755`,
  'give a new file in a set-group-id directory its group': `
    chown . 1001 1001
    chmod . 3777
    bob: put a 1
    gid a = 1001
    uid a = 1002
    bob: mknod f ${FIFO} 0
    gid f = 1001
    bob: mknod n 100600 0
    gid n = 1001
    chmod . 1777
    bob: put b 1
    gid b = 1002`,
});

const PERMISSIONS = group('permissions', {
  'are the user’s for the user, the group’s for the group, and the others’ for the others': `
    put a 1
    chown a 1001 1001
    chmod a 400
    alice: open 1 a r = 0
    alice: open 1 a w = EACCES
    bob: open 1 a r = EACCES
    carol: open 1 a r = EACCES
    chmod a 40
    alice: open 1 a r = EACCES
    carol: open 1 a r = 0
    bob: open 1 a r = EACCES
    chmod a 4
    alice: open 1 a r = EACCES
    carol: open 1 a r = EACCES
    bob: open 1 a r = 0
    chmod a 20
    carol: open 1 a w = 0
    carol: open 1 a rw = EACCES
    carol: truncate a 0 = 0
    bob: truncate a 0 = EACCES`,
  'of access(2) are the same': `
    put a 1
    chown a 1001 1001
    chmod a 640
    alice: access a 6 = 0
    alice: access a 1 = EACCES
    carol: access a 4 = 0
    carol: access a 2 = EACCES
    bob: access a 4 = EACCES
    bob: access a 0 = 0
    bob: access none 0 = ENOENT
    chmod . 700
    bob: access a 0 = EACCES
    chmod . 755`,
  'to list, to search and to change a directory are three': `
    put a 1 666
    chmod . 711
    alice: open 1 . r|directory = EACCES
    alice: cat a = 1
    alice: unlink a = EACCES
    alice: put b 1 = EACCES
    alice: chdir ..
    chmod . 744
    alice: open 1 own r|directory = 0
    alice: cat own/a = EACCES
    alice: size own/a = EACCES
    alice: put own/b 1 = EACCES
    chmod . 777
    alice: put own/b 1
    alice: unlink own/b
    alice: unlink own/a
    chmod . 755`,
  'of a directory keep others from making, linking, renaming and removing': `
    put a 1 666
    alice: mkdir ../alice 777
    alice: link a b = EACCES
    alice: rename a b = EACCES
    alice: rename a ../alice/a = EACCES
    alice: put ../alice/x 1
    alice: rename ../alice/x x = EACCES
    alice: link ../alice/x x = EACCES
    alice: mknod f ${FIFO} 0 = EACCES
    alice: unlink a = EACCES
    alice: unlink head = EACCES
    names . = a
    names ../alice = x`,
  'of a queue of mode 0733 let all put events in and none see them': `
    chmod . 733
    put secret 1 600
    alice: put mine 2 600
    alice: mknod fifo ${FIFO} 0
    alice: open 1 . r|directory = EACCES
    alice: cat secret = EACCES
    alice: cat head = EACCES
    alice: cat mine = 2
    alice: cat .stream = EACCES
    alice: open 1 .stream r|nonblock = EACCES
    alice: cat .status = EACCES
    alice: cat .filter = EACCES
    alice: put .filter A=b = EACCES
    alice: truncate .filter 0 = EACCES
    alice: getxattr . user.eventfs.pending = EACCES
    alice: getxattr . user.eventfs.filter = EACCES
    alice: setxattr . user.eventfs.filter A=b = EPERM
    alice: removexattr . user.eventfs.filter = EPERM
    alice: setxattr . user.eventfs_sticky x = EPERM
    names . = secret mine fifo
    chmod . 755`,
  'of a queue of mode 0733 keep an event that was delivered from all but its user': `
    chmod . 733
    open 1 ../publish w
    write 1 add@/x%0AACTION=add%0A
    alice: cat head = EACCES
    alice: cat tail = EACCES
    alice: size .stream = 4096
    cat head = add@/x%0AACTION=add%0A
    chmod . 755`,
  'of the sticky bit keep others’ files from being removed and renamed': `
    chown . 1001 1001
    chmod . 1777
    bob: put b 1 666
    carol: put c 1 666
    carol: unlink b = EPERM
    carol: rename b x = EPERM
    carol: rename c b = EPERM
    carol: unlink head = EPERM
    alice: unlink c
    bob: unlink b
    names . = nothing`,
  'of the root keep a directory for its user': `
    alice: mkdir ../alice 777
    bob: rmdir ../alice = EPERM
    bob: rename ../alice ../bob = EPERM
    bob: chmod ../alice 700 = EPERM
    bob: put ../alice/x 1
    alice: rmdir ../alice`,
  'of the root let a user make a directory only for a process that the user may signal': `
    alice: mkdir ../1 = EPERM
    alice: mkdir ../1.label 755 = EPERM
    alice: mkdir ../0 = ESRCH
    size ../1 = ENOENT`,
  'of the root do not let anybody make files there': `
    alice: put ../file 1 = EPERM
    alice: mknod ../f ${FIFO} 0 = EPERM
    alice: unlink ../publish = EPERM
    alice: open 1 ../publish w = EACCES
    alice: open 1 ../stream r|nonblock = 0
    alice: open 1 ../stream w = EACCES`,
  'count supplementary groups': `
    bob: cat a = ENOENT
    carol: cat a = ENOENT
    chown . 0 1001
    chmod . 770
    put a 1 660
    chown a 0 1001
    bob: cat a = EACCES
    carol: cat a = 1
    carol: put b 2
    carol: link a c
    carol: names . = a b c
    carol: put .filter A=b
    carol: cat .filter = A==b%0A
    carol: open 1 .stream r|nonblock = 0
    carol: unlink a
    chmod . 750
    carol: open 1 .stream r|nonblock = EACCES
    carol: names . = b c
    carol: put d 1 = EACCES
    carol: put .filter A=c = EACCES
    chmod . 755`,
  'restrict .filter and the attributes to users with write permission': `
    alice: put .filter A=b = EACCES
    alice: open 1 .filter w|append = EACCES
    alice: truncate .filter 0 = EACCES
    alice: setxattr . user.eventfs.filter A=b = EACCES
    alice: cat .filter = nothing
    alice: cat .status
    alice: getxattr . user.eventfs.pending = 0
    chown . 1001 1001
    alice: put .filter A=b
    alice: setxattr . user.eventfs.filter C=d
    cat .filter = C==d%0A
    bob: setxattr . user.eventfs.filter A=b = EACCES
    chmod . 777
    bob: setxattr . user.eventfs.filter A=b = EPERM`,
});

const XATTRS = group('xattr', {
  'of a directory are listed, read and set': `
    listxattr . = user.eventfs.filter%00user.eventfs.owner%00user.eventfs.pending%00user.eventfs.lost%00
    put a 1
    getxattr . user.eventfs.pending = 1
    getxattr . user.eventfs.lost = 0
    setxattr . user.eventfs.filter SUBSYSTEM=net
    getxattr . user.eventfs.filter = SUBSYSTEM==net
    removexattr . user.eventfs.filter
    cat .filter = nothing`,
  'that are read only, or none, are refused': `
    setxattr . user.eventfs.pending 1 = EPERM
    removexattr . user.eventfs.owner = EPERM
    setxattr . user.other 1 = EOPNOTSUPP
    getxattr . user.other = ENODATA
    removexattr . user.other = ENODATA
    setxattr . user.eventfs.filter nonsense = EINVAL`,
  'of a file there is only its source, which is read-only': `
    put a 1
    listxattr a = user.eventfs.source%00
    getxattr a user.x = ENODATA
    setxattr a user.x 1 = EOPNOTSUPP
    setxattr a user.eventfs.source 1 = EPERM
    removexattr a user.eventfs.source = EPERM`,
});

const OTHERS = group('other calls', {
  'statfs knows the root, a directory and a file': `
    put a 1
    statfs .. = 0
    statfs . = 0
    statfs a = 0
    statfs none = ENOENT`,
  'stat of nothing, or through a file, is refused': `
    put a 1
    size none = ENOENT
    size a/b = ENOTDIR
    size none/b = ENOENT
    size head/b = ENOTDIR`,
  'ioctl means nothing': `
    put a 1
    open 1 a r
    ioctl 1 21505 = ENOTTY`,
});

/** All cases, in the order of their groups. */
export const CASES: readonly Case[] = [
  LINKS,
  UNLINK,
  RENAME,
  OPEN,
  NAMES,
  FILES,
  DIRECTORIES,
  SPECIAL,
  SYMLINKS,
  TIMES,
  MODES,
  OWNERSHIP,
  SETID,
  PERMISSIONS,
  XATTRS,
  OTHERS,
].flat();
