/**
 * The metrics of `log/.metrics`, without their prefix `eventfs_`. A family is one name; its samples
 * differ in their labels. Labels are few and stable: no PID, no filter, no name that a user chooses
 * (docs/decisions/098-metrics.md).
 */

/** A counter only grows until the daemon ends; a gauge goes up and down. */
type FamilyType = 'counter' | 'gauge';

/** Each family's type and its meaning. */
export const FAMILIES = {
  daemon_info: ['gauge', 'Always 1. The label says how requests come to the daemon.'],
  start_time_seconds: ['gauge', 'When the daemon started, in seconds since the epoch.'],
  kernel_seqnum: ['gauge', "The kernel's last SEQNUM that the daemon has seen."],
  events_total: ['counter', 'Events that came to the log, by source.'],
  source_lost_events_total: ['counter', 'Events that sources have lost before the log.'],
  source_buffer_bytes: ['gauge', "The receive buffer of a source's netlink socket."],
  source_overruns_total: ['counter', "Overruns of a source's netlink socket (ENOBUFS)."],
  source_gaps_total: [
    'counter',
    'SEQNUMs that did not come to a source. Most belong to other network namespaces.',
  ],
  source_dropped_datagrams_total: ['counter', 'Datagrams that a source dropped, by reason.'],
  publish_cut_total: ['counter', 'Records that a publisher left unfinished in publish.'],
  ring_events: ['gauge', 'Events in the ring of the log.'],
  ring_events_limit: ['gauge', 'The most events in the ring of the log.'],
  subscribers: ['gauge', 'Subscribers, by kind.'],
  pending_events: ['gauge', 'Events that wait for all subscribers of a kind.'],
  pending_events_max: ['gauge', 'The most events that wait for one subscriber of a kind.'],
  lost_events_total: [
    'counter',
    'Events that subscribers of a kind have lost. Subscribers that have ended are included.',
  ],
  directory_pending_events: ['gauge', 'Events that wait in a directory of the option --sticky.'],
  directory_added_events_total: [
    'counter',
    'Events that were added to a directory of the option --sticky.',
  ],
  directory_lost_events_total: [
    'counter',
    'Events that a directory of the option --sticky has lost.',
  ],
  owners: ['gauge', 'Processes that own directories.'],
  owners_ended_total: ['counter', 'Dead owners, by how they ended.'],
  nodes: ['gauge', 'Files and directories that the kernel knows.'],
  open_files: ['gauge', 'Open files of the mount.'],
  blocked_reads: ['gauge', 'Read requests that have no reply yet.'],
  held: ['gauge', 'The amount of an item that all users hold together.'],
  held_limit: ['gauge', 'The most that all users may hold of an item together.'],
  quota_held: ['gauge', 'The amount of an item that a bounded user or group holds.'],
  quota_limit: ['gauge', 'The most that a user or group may hold of an item.'],
  refusals_total: ['counter', 'Operations that a limit has refused.'],
  limit_refusals_total: ['counter', 'Operations that a limit has refused, by limit.'],
  notifier_up: ['gauge', 'Whether the helper process for inotify runs: 1 or 0.'],
  notices_total: ['counter', 'Inotify events that the daemon has asked the kernel for.'],
  notice_batches_total: ['counter', 'Batches that the daemon has sent to the notifier.'],
  watched_directories: ['gauge', 'Directories that a process may watch by inotify.'],
  untold_directories: ['gauge', 'Directories whose notices wait for the notifier.'],
  ghosts: ['gauge', 'Ended directories that wait for the notifier.'],
  ring_stalls_total: ['counter', 'How often a queue of io_uring needed help.'],
  collections_total: ['counter', 'Garbage collections of an idle daemon.'],
  last_collection_seconds: ['gauge', 'How long the last of these collections took.'],
  outlet_sent_events_total: ['counter', 'Events that an outlet has sent.'],
  outlet_remote_events_total: ['counter', 'Events of other hosts, which an outlet never sends.'],
  outlet_refused_total: ['counter', 'Events or connections that an outlet could not serve.'],
  open_namespaces: ['gauge', 'Network namespaces of the option --netns that are open.'],
  fifodir_writes_total: ['counter', 'Writes to FIFOs of a fifodir.'],
  fifodir_unwritten_total: ['counter', 'Writes to FIFOs that were not made, by reason.'],
  fifodir_lost_bytes_total: ['counter', 'Bytes for a fifodir that were lost: too many waited.'],
} as const satisfies Readonly<Record<string, readonly [FamilyType, string]>>;

/** The name of a family. */
export type FamilyName = keyof typeof FAMILIES;

/** The labels of a sample: names and values. */
export type Labels = Readonly<Record<string, string>>;

/** One number of a family. */
export interface Sample {
  readonly family: FamilyName;
  readonly labels: Labels;
  readonly value: number;
}
