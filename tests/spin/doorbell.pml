/* The doorbell: two clients of one word, one daemon that sleeps on an eventfd. The code is
 * src/shm/doorbell.{h,cc}; the proof is docs/design/0002-sleep-protocol.md.
 *
 * Memory is TSO: each store goes through a first-in-first-out buffer of its processor; loads of
 * other words overtake it; a fence or a locked instruction waits until it is empty. A client may be
 * killed between any two steps.
 *
 * When nothing can move any more, every message of a client that was not killed must have been
 * drained. -DNO_CLIENT_FENCE, -DNO_DAEMON_FENCE, -DNO_RECHECK and -DNO_SUMMARY_TEST
 * each take one step away and must fail: scripts/spin.sh runs them all.
 */
#define CLIENTS 2
#define MESSAGES 2

byte tail[CLIENTS];        /* published, as others see it */
byte drained[CLIENTS];     /* what the daemon has read */
bit bell[CLIENTS];         /* the bits of one word */
bit summary;
bit sleeps;                /* as others see it */
byte eventfd;
bit killed[CLIENTS];
bit successor_of_killed;   /* index 0 is used again after its first client was killed */

chan client_stores[CLIENTS] = [2] of { byte };
chan daemon_stores = [2] of { bit };

active proctype client_store_buffers() {
end:
  do
  :: client_stores[0] ? tail[0]
  :: client_stores[1] ? tail[1]
  od
}

active proctype daemon_store_buffer() {
end:
  do
  :: daemon_stores ? sleeps
  od
}

inline fence_client(i) { empty(client_stores[i]) }
inline fence_daemon() { empty(daemon_stores) }

inline die_maybe(i) {
  if
  :: killed[i] = 1; goto dead
  :: skip
  fi
}

inline ring(i) {
#ifndef NO_CLIENT_FENCE
  fence_client(i);
#endif
  if
#ifdef NO_SUMMARY_TEST
  :: bell[i] -> skip
#else
  :: bell[i] && summary -> skip
#endif
  :: else ->
    atomic { fence_client(i); bell[i] = 1 };
    die_maybe(i);
    atomic { fence_client(i); summary = 1 };
    die_maybe(i);
    if
    :: sleeps -> die_maybe(i); eventfd = 1
    :: else -> skip
    fi
  fi
}

proctype client(byte i) {
  byte sent = 0;
  do
  :: sent < MESSAGES ->
    sent++;
    client_stores[i] ! sent;
    die_maybe(i);
    ring(i)
  :: else -> break
  od;
  goto over;
dead:
  /* The kernel closes its socket: the daemon wakes, drains the ring, gives the index away. The word
   * keeps whatever bits the dead one left. */
  atomic {
    fence_client(i);
    drained[i] = tail[i];
    eventfd = 1;
    if
    :: i == 0 && !successor_of_killed ->
      successor_of_killed = 1;
      tail[i] = 0; drained[i] = 0; killed[i] = 0;
      run client(i)
    :: else -> skip
    fi
  };
over:
  skip
}

active proctype daemon() {
  byte i;
  bit rung[CLIENTS];
  bit any;
  do
  :: true ->
    /* prepare_sleep */
    daemon_stores ! 1;
#ifndef NO_DAEMON_FENCE
    fence_daemon();
#endif
    if
#ifndef NO_RECHECK
    :: summary -> skip
#endif
    :: else ->
      /* epoll_wait: entering the kernel empties the buffer */
      fence_daemon();
end_asleep:
      atomic { eventfd > 0 -> eventfd = 0 }
    fi;
    daemon_stores ! 0; /* end_sleep, or prepare_sleep gave up */
    /* take_rung */
    atomic { fence_daemon(); any = summary; summary = 0 };
    if
    :: any ->
      atomic {
        fence_daemon();
        rung[0] = bell[0]; rung[1] = bell[1];
        bell[0] = 0; bell[1] = 0
      };
      /* drain */
      i = 0;
      do
      :: i < CLIENTS && rung[i] -> drained[i] = tail[i]; i++
      :: i < CLIENTS && !rung[i] -> i++
      :: i == CLIENTS -> break
      od
    :: else -> skip
    fi
  od
}

init {
  atomic {
    run client(0);
    run client(1)
  };
end_watch:
  timeout;
  assert(killed[0] || drained[0] == MESSAGES);
  assert(killed[1] || drained[1] == MESSAGES)
}
