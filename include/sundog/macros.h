// SUNDOG_FOR_EACH_(macro, fixed, a, b, ...): macro(fixed, a) macro(fixed, b) ..., at most 256.
#pragma once

#define SUNDOG_PARENS_ ()
#define SUNDOG_EXPAND_(...) \
  SUNDOG_EXPAND3_(SUNDOG_EXPAND3_(SUNDOG_EXPAND3_(SUNDOG_EXPAND3_(__VA_ARGS__))))
#define SUNDOG_EXPAND3_(...) \
  SUNDOG_EXPAND2_(SUNDOG_EXPAND2_(SUNDOG_EXPAND2_(SUNDOG_EXPAND2_(__VA_ARGS__))))
#define SUNDOG_EXPAND2_(...) \
  SUNDOG_EXPAND1_(SUNDOG_EXPAND1_(SUNDOG_EXPAND1_(SUNDOG_EXPAND1_(__VA_ARGS__))))
#define SUNDOG_EXPAND1_(...) __VA_ARGS__
#define SUNDOG_FOR_EACH_(macro, fixed, ...) \
  __VA_OPT__(SUNDOG_EXPAND_(SUNDOG_FOR_EACH_ONE_(macro, fixed, __VA_ARGS__)))
#define SUNDOG_FOR_EACH_ONE_(macro, fixed, first, ...) \
  macro(fixed, first) __VA_OPT__(SUNDOG_FOR_EACH_AGAIN_ SUNDOG_PARENS_(macro, fixed, __VA_ARGS__))
#define SUNDOG_FOR_EACH_AGAIN_() SUNDOG_FOR_EACH_ONE_

#define SUNDOG_JOIN_(a, b) SUNDOG_JOIN2_(a, b)
#define SUNDOG_JOIN2_(a, b) a##b
