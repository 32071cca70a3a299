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

// The value called `value[key]`; RangeError with all names when there is none.
template <class T, size_t N>
T read_choice(Napi::Object object, const char* key, const Named<T> (&choices)[N]) {
  const Napi::Value value = property(object, key);
  std::string all = "one of ";
  for (const Named<T>& choice : choices) all += (&choice == choices ? "" : ", ") + std::string(choice.name);
  if (!value.IsString()) throw_wrong_type(value, all, key);
  const std::string name = value.As<Napi::String>();
  for (const Named<T>& choice : choices)
    if (name == choice.name) return choice.value;
  throw_out_of_range(value, all, key);
}

}  // namespace toolgrad
