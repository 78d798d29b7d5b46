{
  'targets': [
    {
      'target_name': 'eventfs',
      'sources': [
        'native/addon.cc',
        'native/callback.cc',
        'native/death_watch.cc',
        'native/fan_out.cc',
        'native/fifodir.cc',
        'native/fuse_channel.cc',
        'native/fuse_ring.cc',
        'native/io_ring.cc',
        'native/memfd.cc',
        'native/memory.cc',
        'native/mount.cc',
        'native/netlink_send.cc',
        'native/poll_handle.cc',
        'native/process.cc',
        'native/readable_watch.cc',
        'native/readiness.cc',
        'native/reply_batch.cc',
        'native/seqpacket.cc',
        'native/system_error.cc',
        'native/thread_interrupts.cc',
        'native/uevent_socket.cc',
      ],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': ['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
      'cflags_cc!': ['-fno-exceptions', '-O3'],
      'cflags_cc': ['-std=c++17', '-O2', '-Wall', '-Wextra', '-fexceptions', '-fvisibility=hidden'],
      'configurations': {
        # node's own common.gypi asks for -O3 here
        'Release': { 'cflags!': ['-O3'] },
      },
    },
    {
      # `eventfs emit` without Node's start: the C library only
      'target_name': 'eventfs-emit',
      'type': 'executable',
      'sources': ['native/emit/environment.c', 'native/emit/main.c', 'native/emit/publish.c'],
      'cflags': ['-std=gnu11', '-O2', '-Wall', '-Wextra'],
    },
    {
      'target_name': 'eventfs-notify',
      'type': 'executable',
      'product_extension': '',
      'sources': [
        'native/notifier/directories.c',
        'native/notifier/look.c',
        'native/notifier/main.c',
        'native/notifier/proc.c',
        'native/notifier/raise.c',
      ],
      'cflags_c': ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-pthread'],
      'ldflags': ['-pthread'],
    },
  ],
}
