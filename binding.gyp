{
  'variables': {
    'warnings': ['-Wall', '-Wextra', '-Werror'],
  },
  'targets': [
    {
      'target_name': 'eventfs',
      'sources': [
        'native/addon/addon.cc',
        'native/addon/callback.cc',
        'native/addon/fuse/device_transport.cc',
        'native/addon/fuse/fuse_channel.cc',
        'native/addon/fuse/mount.cc',
        'native/addon/fuse/reply_batch.cc',
        'native/addon/fuse/request_handler.cc',
        'native/addon/fuse/serve_loop.cc',
        'native/addon/io_uring/fuse_ring.cc',
        'native/addon/io_uring/fuse_ring_entries.cc',
        'native/addon/io_uring/io_ring.cc',
        'native/addon/io_uring/ring_transport.cc',
        'native/addon/netlink/uevent_sender.cc',
        'native/addon/netlink/uevent_socket.cc',
        'native/addon/poll_handle.cc',
        'native/addon/process/call_thread.cc',
        'native/addon/process/death_watch.cc',
        'native/addon/process/memory.cc',
        'native/addon/process/process.cc',
        'native/addon/process/thread_interrupts.cc',
        'native/addon/readable_watch.cc',
        'native/addon/sockets/fan_out.cc',
        'native/addon/sockets/fifodir.cc',
        'native/addon/sockets/memfd.cc',
        'native/addon/sockets/readiness.cc',
        'native/addon/sockets/seqpacket.cc',
        'native/addon/system_error.cc',
      ],
      'include_dirs': ['native/addon'],
      'defines': ['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
      'cflags_cc!': ['-fno-exceptions', '-O3'],
      'cflags_cc': [
        '-std=c++17', '-O2', '<@(warnings)', '-fexceptions', '-fvisibility=hidden',
        # as system headers: their warnings are no errors
        '-isystem<!(node -p "require(\'path\').resolve(require(\'node-addon-api\').include_dir)")',
        '-isystem<(node_root_dir)/include/node',
      ],
      'configurations': {
        # node's own common.gypi asks for -O3 here
        'Release': { 'cflags!': ['-O3'] },
      },
    },
    {
      # `eventfs emit` without the start of Node: it needs only the C library
      'target_name': 'eventfs-emit',
      'type': 'executable',
      'sources': [
        'native/emit/environment.c',
        'native/emit/main.c',
        'native/emit/publish.c',
      ],
      'cflags': ['-std=gnu11', '-O2', '<@(warnings)'],
    },
    {
      'target_name': 'eventfs-notify',
      'type': 'executable',
      'product_extension': '',
      'sources': [
        'native/notifier/directories.c',
        'native/notifier/main.c',
        'native/notifier/proc.c',
        'native/notifier/raise.c',
        'native/notifier/scan.c',
        'native/notifier/scan_queue.c',
      ],
      'cflags_c': ['-std=gnu11', '-O2', '<@(warnings)', '-pthread'],
      'ldflags': ['-pthread'],
    },
  ],
}
