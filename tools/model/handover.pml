/*
 * The hand-over of a mount from one daemon to the next: guardian, daemons, the kernel's queue of
 * requests, FUSE_NOTIFY_RESEND, and deaths between any two steps. `make model` verifies it with
 * Spin, and checks that Spin finds the mistake of each broken variant (tools/model/verify).
 *
 * Requests: 0 opens a file and publishes an event. 1 and 2 read a stream, and wait for that event.
 * The state outlives the daemons: `applied`, `version`, `happened`, `outbox`, `left_reply`, `word`.
 * All else is lost with a daemon.
 *
 * Safety: each request is carried out once and answered once. A caller that is killed has no open
 * file: the kernel sends no RELEASE for it. One daemon serves at a time, and it knows what the
 * state says. Liveness: each request is answered, or the guardian has given up and the kernel has
 * aborted it.
 */
#ifndef DEATHS
#define DEATHS 2 /* deaths at any moment */
#endif
#ifndef FAILURES
#define FAILURES 1 /* daemons that end or hang before they are ready */
#endif
#ifndef RELOADS
#define RELOADS 1
#endif
#ifndef MOST_STARTS
#define MOST_STARTS 4 /* then the guardian gives up */
#endif
#ifndef KILLS
#define KILLS 0 /* callers that are killed; the readers then wait for ever */
#endif
#ifndef GUARDIAN_DEATHS
#define GUARDIAN_DEATHS 0 /* deaths of the guardian during a reload */
#endif
#define REQUESTS 3
#define READER(r) ((r) >= 1)
#define IS_ANY_PENDING (request[0] == PENDING || request[1] == PENDING || request[2] == PENDING)

mtype = {NEW, PENDING, PROCESSING, ANSWERED, ABORTED};
mtype = {SILENT, READY, PAUSED};

/* ---- The kernel */
mtype request[REQUESTS] = NEW;
bool is_resent[REQUESTS];
byte answers[REQUESTS];
hidden byte each;
byte kills;

/* RESEND: the requests that were read and not answered are pending again, before the others. */
inline resend() {
  d_step {
    each = 0;
    do
    :: each < REQUESTS ->
       if
       :: request[each] == PROCESSING -> request[each] = PENDING; is_resent[each] = true
       :: else
       fi;
       each++
    :: else -> break
    od
  }
}

/* A reply. The kernel refuses one to a request that no daemon has read since the RESEND. */
inline answer(a) {
  d_step {
    if
    :: request[a] == PROCESSING ->
       assert(applied[a] == 1);
       answers[a]++;
       assert(answers[a] == 1);
       request[a] = ANSWERED;
       is_resent[a] = false
    :: else
    fi
  }
}

/* The callers. */
active proctype callers() {
  do
  :: request[0] == NEW -> request[0] = PENDING
  :: request[1] == NEW -> request[1] = PENDING
  :: request[2] == NEW -> request[2] = PENDING
  :: request[0] != NEW && request[1] != NEW && request[2] != NEW -> break
  od
}

/* ---- The state */
byte applied[REQUESTS];
byte version;
bool happened;
/* The replies of committed transactions that may not have been sent */
bool outbox[REQUESTS];
/* The reply of the last transaction that has opened a file (fs/state/left-reply.ts) */
bool left_reply;
/* fs/state/serving-word.ts */
mtype = {SERVING, YIELDED, TAKEN_BACK};
mtype word = SERVING;
bool guardian_is_dead;

inline forget_outbox() {
  d_step { outbox[0] = false; outbox[1] = false; outbox[2] = false }
}

/* A transaction's commit: the change and the reply count from here on. */
inline commit(c) {
  assert(known == version);
  applied[c]++;
  assert(applied[c] == 1);
#ifndef NO_OUTBOX
  outbox[c] = true;
#endif
  if
  :: c == 0 -> happened = true; left_reply = true
  :: else
  fi
}

/* A transaction begins: the replies of the one before have been sent. */
inline begin() {
#ifdef SENT_TOO_EARLY
  forget_outbox()
#else
  /* While resent requests come, those of the daemon before may not have been sent */
  if
  :: is_fresh -> forget_outbox()
  :: else
  fi
#endif
}

#if KILLS > 0
/* The kernel takes back the request of a caller that is killed while no daemon has read it. */
active proctype killer() {
  do
  :: atomic {
       request[0] == PENDING && kills < KILLS ->
       kills++;
       assert(applied[0] == 0);
       request[0] = ABORTED
     }
  :: break
  od
}
#endif

/* ---- The daemons */
mtype said[MOST_STARTS] = SILENT;
bool is_alive[MOST_STARTS], is_killed[MOST_STARTS], hangs[MOST_STARTS], serves[MOST_STARTS];
/* The guardian's messages */
bool go[MOST_STARTS], pauses[MOST_STARTS];
byte failures, deaths, reloads, impatience, guardian_deaths;

inline begin_to_serve() {
  d_step {
    assert(!serves[0] && !serves[1] && !serves[2] && !serves[3]);
    serves[me] = true
  }
}

/* SERVE has come: the daemon takes over, unless the old one has taken the mount back. */
inline take_over() {
  atomic {
    if
#ifndef NO_SERVING_WORD
    :: word == TAKEN_BACK -> is_killed[me] = true
#endif
    :: else -> word = SERVING
    fi
  }
}

/*
 * The guardian has ended, and the daemon that has yielded goes on, unless the next one has taken
 * over. The guardian may have sent RESEND: the reads that wait have other numbers then.
 */
inline take_back() {
  atomic {
    if
#ifndef NO_SERVING_WORD
    :: word != YIELDED -> is_killed[me] = true
#endif
    :: else ->
       word = TAKEN_BACK;
       pauses[me] = false;
#ifndef NO_RESEND_AFTER_TAKE_BACK
       d_step { waits[0] = false; waits[1] = false; is_fresh = false };
       resend();
#endif
    fi
  }
}

/* Answers the readers that wait: one transaction, then the replies. */
inline settle() {
  if
  :: happened && (waits[0] || waits[1]) ->
     begin();
     d_step {
       if
       :: waits[0] -> commit(1)
       :: else
       fi;
       if
       :: waits[1] -> commit(2)
       :: else
       fi;
       version++;
       known = version
     };
     if
     :: waits[1] && was_resent[1] == is_resent[2] -> answer(2)
     :: else
     fi;
     if
     :: waits[0] && was_resent[0] == is_resent[1] -> answer(1)
     :: else
     fi;
     d_step { waits[0] = false; waits[1] = false }
  :: else
  fi
}

/* Serves request r. */
inline serve() {
  if
  :: !is_resent[r] -> is_fresh = true
  :: else
  fi;
  if
  :: outbox[r] && is_resent[r] && !is_fresh -> answer(r)
  :: else ->
     if
     /* A read that is parked twice is answered by its older number */
     :: READER(r) && waits[r - 1]
     :: READER(r) && !waits[r - 1] ->
        d_step { waits[r - 1] = true; was_resent[r - 1] = is_resent[r] }
     :: else ->
        begin();
        d_step { commit(r); version++; known = version };
        answer(r)
     fi
  fi;
  r = 0;
  if
  :: is_fresh -> settle() /* not before all resent requests have come */
  :: else
  fi
}

proctype daemon(byte me) {
  byte r, known;
  bool waits[2], is_fresh;
  bool was_resent[2]; /* the number under which a read is parked */
  {
    known = version; /* it reads the state */
#ifdef OUTBOX_DROPPED_AT_START
    forget_outbox();
#endif
#ifdef WRITES_BEFORE_SERVE
    begin();
    d_step { version++; known = version };
#endif
    if
    :: said[me] = READY
    :: atomic { failures < FAILURES -> failures++; hangs[me] = true };
       false
    :: atomic { failures < FAILURES -> failures++; is_killed[me] = true }
    fi;
    if
    :: go[me]
    :: atomic { guardian_is_dead && !go[me] -> is_killed[me] = true };
       false
    fi;
    take_over();
    begin_to_serve();
    /* It drains the deaths of owners, a transaction, before it looks at a request */
    if
    :: begin();
       d_step { version++; known = version }
    :: skip
    fi;
    do
    /* It reads a request: resent ones come before the others, in any order among them */
    :: atomic {
         !pauses[me] && IS_ANY_PENDING ->
         if
         :: request[0] == PENDING && is_resent[0] -> r = 0
         :: request[1] == PENDING && is_resent[1] -> r = 1
         :: request[2] == PENDING && is_resent[2] -> r = 2
         :: else ->
            if
            :: request[0] == PENDING -> r = 0
            :: request[1] == PENDING -> r = 1
            :: request[2] == PENDING -> r = 2
            fi
         fi;
         request[r] = PROCESSING
       };
       serve()
    /* EAGAIN: no request is pending */
    :: atomic { !pauses[me] && !is_fresh && !IS_ANY_PENDING -> is_fresh = true };
       settle()
    /* A reload: it pauses between two requests */
    :: atomic { pauses[me] -> serves[me] = false; word = YIELDED; said[me] = PAUSED };
       if
       :: !pauses[me]
       :: guardian_is_dead -> take_back()
       fi;
       begin_to_serve()
    od
  } unless {
    is_killed[me]
  };
  /* Its death, before the guardian's waitpid(2) returns */
  d_step {
    serves[me] = false; is_alive[me] = false; said[me] = SILENT; is_killed[me] = false;
    hangs[me] = false; go[me] = false; pauses[me] = false;
    r = 0; known = 0; waits[0] = false; waits[1] = false; is_fresh = false;
    was_resent[0] = false; was_resent[1] = false
  }
}

/* A death at any moment. */
active proctype death() {
  do
  :: atomic { deaths < DEATHS && is_alive[0] && !is_killed[0] -> deaths++; is_killed[0] = true }
  :: atomic { deaths < DEATHS && is_alive[1] && !is_killed[1] -> deaths++; is_killed[1] = true }
  :: atomic { deaths < DEATHS && is_alive[2] && !is_killed[2] -> deaths++; is_killed[2] = true }
  :: atomic { deaths < DEATHS && is_alive[3] && !is_killed[3] -> deaths++; is_killed[3] = true }
  :: break
  od
}

/* ---- The guardian */
inline send_left() {
#ifndef NO_LEFT_REPLY
  if
  :: left_reply -> answer(0)
  :: else
  fi
#else
  skip
#endif
}

/* The guardian may be killed here. */
inline may_die() {
#if GUARDIAN_DEATHS > 0
  if
  :: atomic {
       guardian_deaths < GUARDIAN_DEATHS ->
       guardian_deaths++;
       guardian_is_dead = true
     };
     goto dead
  :: skip
  fi
#else
  skip
#endif
}

/* The last close of /dev/fuse aborts the connection. */
inline abort_all() {
  do
  :: request[0] != ANSWERED && request[0] != ABORTED && request[0] != NEW -> request[0] = ABORTED
  :: request[1] != ANSWERED && request[1] != ABORTED && request[1] != NEW -> request[1] = ABORTED
  :: request[2] != ANSWERED && request[2] != ABORTED && request[2] != NEW -> request[2] = ABORTED
  od
}

#if GUARDIAN_DEATHS > 0
/* The last daemon has died after the guardian. */
active proctype last_close() {
  guardian_is_dead && !is_alive[0] && !is_alive[1] && !is_alive[2] && !is_alive[3];
  abort_all()
}
#endif

inline start(d) {
  atomic {
    d = starts;
    starts++;
    is_alive[d] = true;
    run daemon(d)
  }
}

/* Waits until daemon d is ready or dead. The deadline ends one that hangs, or that is slow. */
inline await_ready(d) {
  if
  :: said[d] == READY && is_alive[d]
  :: !is_alive[d]
  :: atomic {
       said[d] == SILENT && is_alive[d] && (hangs[d] || impatience < FAILURES) ->
       impatience = (hangs[d] -> impatience : impatience + 1);
       is_killed[d] = true
     };
     !is_alive[d]
  fi
}

active proctype guardian() {
  byte current, next, starts;
  start(current);
again:
  await_ready(current);
  if
  :: is_alive[current] ->
     go[current] = true;
#ifdef RESEND_LATE
     resend();
#endif
  :: else -> goto died
  fi;
served:
  if
  :: !is_alive[current] -> goto died
  :: atomic { reloads < RELOADS && starts < MOST_STARTS -> reloads++ }
  fi;
  /* A reload. The old daemon pauses, the next one reads the state. */
#ifndef NO_PAUSE
  pauses[current] = true;
  said[current] == PAUSED || !is_alive[current];
#endif
  may_die();
  start(next);
  await_ready(next);
  if
  :: is_alive[next] ->
     may_die();
#ifndef NO_RESEND
     send_left();
     resend();
#endif
     may_die();
     go[next] = true;
     may_die();
     /* The old one stays paused until its end */
     d_step { is_killed[current] = is_alive[current]; current = next };
     goto served
  :: else ->
     /* The next one never served: the old one goes on with the reads that wait. */
     d_step { said[current] = READY; pauses[current] = false };
     goto served
  fi;
died:
#ifndef NO_RESEND
  send_left();
  resend();
#endif
  if
  :: starts < MOST_STARTS -> start(current); goto again
  :: else
  fi;
  abort_all(); /* it gives up */
dead:
  skip
}

#define IS_OVER(i) (request[i] == ANSWERED || request[i] == ABORTED)
ltl each_request_ends { <> (IS_OVER(0) && IS_OVER(1) && IS_OVER(2)) }
