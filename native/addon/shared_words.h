// The words that C++ and TypeScript share in typed arrays, each list described once.
//
// Each list below becomes an enumeration here (`ControlWord::sliceStart`) and a frozen object of
// the same names and values in the addon's exports. index.d.ts documents each word; a test compares
// both.
#pragma once

#include <cstdint>

/** FuseChannelOptions.control: what a channel and its handler tell each other about a request. */
#define EVENTFS_CONTROL_WORDS(WORD) \
  WORD(outcome) WORD(replyLength) WORD(sliceStart) WORD(sliceLength) WORD(settle)

/** The values of ControlWord.outcome. */
#define EVENTFS_REQUEST_OUTCOMES(WORD) WORD(unset) WORD(replied) WORD(parked) WORD(noReply)

/** The values of ControlWord.settle. */
#define EVENTFS_SETTLE_STATES(WORD) WORD(settled) WORD(pending) WORD(deferred)

/** DeathWatchOptions.drains. */
#define EVENTFS_DRAIN_WORDS(WORD) WORD(drains)

/** UeventSocketOptions.meta: a group of words for each datagram. */
#define EVENTFS_DATAGRAM_WORDS(WORD) \
  WORD(length) WORD(truncated) WORD(senderPort) WORD(groups) WORD(uid) WORD(pid)

/** ReadinessOptions.ready: a group of words for each ready descriptor. */
#define EVENTFS_READY_WORDS(WORD) WORD(token) WORD(events)

/** The `slices` of sendToAll and passToAll: a group of words for each message. */
#define EVENTFS_SLICE_WORDS(WORD) WORD(start) WORD(length)

/** The `failed` of sendToAll and passToAll: a group of words for each socket in it. */
#define EVENTFS_FAILURE_WORDS(WORD) WORD(place) WORD(outcome)

/** The client's credentials, which acceptSeqpacket writes into `peer`. */
#define EVENTFS_PEER_WORDS(WORD) WORD(pid) WORD(uid) WORD(gid)

/** The `found` of openNamespaceSender: what it has found out about the namespace. */
#define EVENTFS_NAMESPACE_WORDS(WORD) WORD(uid) WORD(gid) WORD(isInitial)

/** The `outcome` of injectUevents. */
#define EVENTFS_INJECTION_WORDS(WORD) WORD(sent) WORD(refused) WORD(error)

/** The `counts` of notifyFifos. */
#define EVENTFS_FIFO_COUNTS(WORD) WORD(notified) WORD(full) WORD(stale) WORD(skipped)

/** All lists: the name of each enumeration, and its words. */
#define EVENTFS_SHARED_WORDS(LIST)               \
  LIST(ControlWord, EVENTFS_CONTROL_WORDS)       \
  LIST(RequestOutcome, EVENTFS_REQUEST_OUTCOMES) \
  LIST(SettleState, EVENTFS_SETTLE_STATES)       \
  LIST(DrainWord, EVENTFS_DRAIN_WORDS)           \
  LIST(DatagramWord, EVENTFS_DATAGRAM_WORDS)     \
  LIST(ReadyWord, EVENTFS_READY_WORDS)           \
  LIST(SliceWord, EVENTFS_SLICE_WORDS)           \
  LIST(FailureWord, EVENTFS_FAILURE_WORDS)       \
  LIST(PeerWord, EVENTFS_PEER_WORDS)             \
  LIST(NamespaceWord, EVENTFS_NAMESPACE_WORDS)   \
  LIST(InjectionWord, EVENTFS_INJECTION_WORDS)   \
  LIST(FifoCount, EVENTFS_FIFO_COUNTS)

namespace eventfs {

#define EVENTFS_ENUMERATOR(word) word,
#define EVENTFS_ENUMERATION(Name, WORDS)                 \
  struct Name {                                          \
    enum : uint32_t { WORDS(EVENTFS_ENUMERATOR) count }; \
  };
EVENTFS_SHARED_WORDS(EVENTFS_ENUMERATION)
#undef EVENTFS_ENUMERATION
#undef EVENTFS_ENUMERATOR

}  // namespace eventfs
