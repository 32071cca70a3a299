// Descriptors beside messages, and bytes to descriptors. All return -1 with errno, none retries but on EINTR.
#pragma once
#include <stddef.h>
#include <sys/types.h>

// Sends one message with descriptors.
int tg_send(int socket, const void* data, size_t size, const int* descriptors, size_t count);
// Receives one message: its size, 0 at the end. Descriptors above what was sent are -1; more than `count` is an error. The
// sender's process id goes to `sender` if the socket passes credentials.
ssize_t tg_receive(int socket, void* data, size_t size, int* descriptors, size_t count, pid_t* sender, int flags);
// A sealed memory file that holds the parts.
struct tg_bytes {
  const void* data;
  size_t size;
};
int tg_memory_file(const char* name, const struct tg_bytes* parts, size_t count);
// Closes every descriptor from `first` on.
int tg_close_from(int first);
