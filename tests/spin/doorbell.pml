/* The doorbell: two clients of one word, one daemon that sleeps on an eventfd. The code is
 * src/shm/doorbell.{h,cc}; the proof is docs/design/0002-sleep-protocol.md.
 *
 * Memory is TSO: each store goes through a first-in-first-out buffer of its processor; loads of
 * other words overtake it; a fence or a locked instruction waits until it is empty. A client may be
 * killed between any two steps.
 *
 * The daemon sleeps or dozes, as it likes. A doze really ends by itself too; here it does not, so that
 * only what a client insisted on counts, and each insists after its last message.
 *
 * When nothing can move any more, every message of a client that was not killed must have been
 * drained. -DNO_CLIENT_FENCE, -DNO_DAEMON_FENCE, -DNO_RECHECK, -DNO_SUMMARY_TEST,
 * -DNO_INSIST_RECHECK and -DINSIST_CLEARED_LATE each take one step away or misplace it and must fail:
 * scripts/spin.sh runs them all.
 */
#define CLIENTS 2
#define MESSAGES 2

byte tail[CLIENTS];        /* published, as others see it */
byte drained[CLIENTS];     /* what the daemon has read */
bit bell[CLIENTS];         /* the bits of one word */
bit summary;
byte state;                /* as others see it: 0 awake, 1 asleep, 2 dozing */
bit insisted;
byte eventfd;
bit killed[CLIENTS];
bit successor_of_killed;   /* index 0 is used again after its first client was killed */

chan client_stores[CLIENTS] = [2] of { byte };
chan daemon_stores = [2] of { byte };

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
  :: daemon_stores ? state
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
    :: state == 1 -> die_maybe(i); eventfd = 1
    :: else -> skip
    fi
  fi
}

inline insist(i) {
#ifndef NO_CLIENT_FENCE
  fence_client(i);
#endif
  if
  :: bell[i] && summary ->
    atomic { fence_client(i); insisted = 1 };
    die_maybe(i);
    if
    :: state != 0 -> die_maybe(i); eventfd = 1
    :: else -> skip
    fi
  :: else -> skip
  fi
}

proctype client(byte i) {
  byte sent = 0;
  do
  :: sent < MESSAGES ->
    sent++;
    client_stores[i] ! sent;
    die_maybe(i);
    ring(i);
    if
    :: sent == MESSAGES -> insist(i)
    :: sent < MESSAGES -> skip
    :: sent < MESSAGES -> insist(i)
    fi
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

inline clear_insisted() {
  if
  :: insisted -> atomic { fence_daemon(); insisted = 0 }
  :: else -> skip
  fi
}

active proctype daemon() {
  byte i;
  bit rung[CLIENTS];
  bit any;
  do
  :: true ->
    if
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
      fi
    :: true ->
      /* prepare_doze */
      daemon_stores ! 2;
#ifndef NO_DAEMON_FENCE
      fence_daemon();
#endif
      if
#ifndef NO_INSIST_RECHECK
      :: insisted -> skip
#endif
      :: else ->
        fence_daemon();
end_dozing:
        atomic { eventfd > 0 -> eventfd = 0 }
      fi
    fi;
    daemon_stores ! 0; /* end_sleep, or what was announced was given up */
    /* take_rung */
#ifndef INSIST_CLEARED_LATE
    clear_insisted();
#endif
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
    fi;
#ifdef INSIST_CLEARED_LATE
    clear_insisted();
#endif
    skip
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
