/* How a client sleeps and is woken: a thread that waits on the futex of the sleep word, or, when
 * nobody waits, the runtime thread on an eventfd. The code is src/shm/client_bell.{h,cc} and
 * src/client/runtime_inbound.cc; the proof is docs/design/0002-sleep-protocol.md.
 *
 * Memory is TSO, as in doorbell.pml. The daemon publishes messages, each for a waiter only (Execute)
 * or for anyone. When nothing can move any more: a thread that waits has seen every message, and
 * with nobody waiting every message for anyone has been read.
 *
 * -DNO_CLIENT_FENCE, -DNO_DAEMON_FENCE and -DNO_RECHECK each take one step away and must fail.
 */
#define MESSAGES 3
#define AWAKE 0
#define WAITER 1
#define RUNTIME 2

byte tail;           /* as others see it */
byte head;           /* what the client has read; under the lock */
byte last_for_anyone;
byte sleep_word = RUNTIME;  /* the runtime rests before anybody calls */
bit futex_asleep;    /* the waiting thread is in the kernel */
byte eventfd;
bit locked;
bit waiting;         /* a thread is in wait(); under the lock */

#define DAEMON 0
#define MAIN 1
#define HELPER 2
chan tail_stores = [2] of { byte };
chan word_stores[3] = [2] of { byte };  /* of MAIN and HELPER */

active proctype tail_store_buffer() {
end:
  do
  :: tail_stores ? tail
  od
}
active proctype word_store_buffer() {
end:
  do
  :: word_stores[MAIN] ? sleep_word
  :: word_stores[HELPER] ? sleep_word
  od
}

/* Taking the lock is a locked instruction; giving it is a store behind the others. */
inline lock(me) { atomic { !locked && empty(word_stores[me]) -> locked = 1 } }
inline unlock(me) { atomic { empty(word_stores[me]) -> locked = 0 } }

/* prepare_sleep: `sleepy` tells whether to sleep */
inline prepare_sleep(me, where) {
  word_stores[me] ! where;
#ifndef NO_CLIENT_FENCE
  empty(word_stores[me]);
#endif
#ifdef NO_RECHECK
  sleepy = 1;
#else
  if
  :: tail == head -> sleepy = 1
  :: else -> word_stores[me] ! AWAKE; sleepy = 0
  fi
#endif
}

/* Nobody waits: the runtime thread is to be woken. */
inline rest(me) {
  do
  :: true ->
    prepare_sleep(me, RUNTIME);
    if
    :: sleepy -> break
    :: else -> head = tail
    fi
  od
}

active proctype daemon() {
  byte published = 0;
  bit for_anyone;
  byte seen;
  do
  :: published < MESSAGES ->
    published++;
    if
    :: for_anyone = 1; last_for_anyone = published
    :: for_anyone = 0
    fi;
    tail_stores ! published;
#ifndef NO_DAEMON_FENCE
    empty(tail_stores);
#endif
    seen = sleep_word;
    if
    :: seen == WAITER || (seen == RUNTIME && for_anyone) ->
      atomic {
        empty(tail_stores);
        if
        :: sleep_word == seen ->
          sleep_word = AWAKE;
          if
          :: seen == WAITER -> futex_asleep = 0
          :: else -> eventfd = 1
          fi
        :: else -> skip
        fi
      }
    :: else -> skip
    fi
  :: else -> break
  od
}

active proctype main_thread() {
  bit sleepy;
  byte from;
  byte rounds = 0;
  do
  :: rounds < 2 ->
    rounds++;
    /* wait() for something new */
    lock(MAIN);
    waiting = 1;
    from = head;
    do
    :: head = tail;
      if
      :: head != from -> break
      :: else ->
        prepare_sleep(MAIN, WAITER);
        if
        :: sleepy ->
          unlock(MAIN);
          /* futex_wait: the kernel compares and sleeps in one step */
          atomic {
            empty(word_stores[MAIN]);
            if
            :: sleep_word == WAITER -> futex_asleep = 1
            :: else -> skip
            fi
          };
end_asleep:
          !futex_asleep;
          lock(MAIN);
          word_stores[MAIN] ! AWAKE
        :: else -> skip
        fi
      fi
    od;
    waiting = 0;
    rest(MAIN);
    unlock(MAIN)
    /* now it runs code of its own */
  :: break
  od
}

active proctype runtime_thread() {
  bit sleepy;
end:
  do
  :: atomic { eventfd > 0 -> eventfd = 0 };
    lock(HELPER);
    if
    :: !waiting ->
      head = tail;
      rest(HELPER)
    :: else -> skip
    fi;
    unlock(HELPER)
  od
}

init {
end_watch:
  timeout;
  assert(!futex_asleep || head == tail);
  assert(waiting || head >= last_for_anyone)
}
