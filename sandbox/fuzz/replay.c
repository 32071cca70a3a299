// Runs the fuzz target once on each file named: for compilers without libFuzzer, and under a debugger.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** names) {
  for (int i = 1; i < count; i++) {
    FILE* file = fopen(names[i], "rb");
    if (file == NULL) {
      fprintf(stderr, "%s: cannot be opened\n", names[i]);
      return 1;
    }
    static uint8_t data[1 << 20];
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    // A copy of exactly its size, so that a sanitizer sees a read beyond it.
    uint8_t* exact = malloc(size + 1);
    if (exact == NULL) return 1;
    for (size_t at = 0; at < size; at++) exact[at] = data[at];
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
  }
  printf("%d inputs, no failure\n", count - 1);
  return 0;
}
