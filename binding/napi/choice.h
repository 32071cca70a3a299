// Options that are one of a few names.
#pragma once

#include <napi.h>

#include <string>

#include "napi/args.h"

namespace toolgrad {

template <class T>
struct Named {
  const char* name;
  T value;
};

// The choice that `value` names; RangeError with all names when there is none. `name` is what the value is called.
template <class T, size_t N>
T read_named(Napi::Value value, const char* name, const Named<T> (&choices)[N]) {
  std::string all = "one of ";
  for (const Named<T>& choice : choices) all += (&choice == choices ? "" : ", ") + std::string(choice.name);
  if (!value.IsString()) throw_wrong_type(value, all, name);
  const std::string chosen = value.As<Napi::String>();
  for (const Named<T>& choice : choices)
    if (chosen == choice.name) return choice.value;
  throw_out_of_range(value, all, name);
}
// The same of `object[key]`.
template <class T, size_t N>
T read_choice(Napi::Object object, const char* key, const Named<T> (&choices)[N]) {
  return read_named(property(object, key), key, choices);
}

}  // namespace toolgrad
