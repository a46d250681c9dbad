// A gconv module as a layer may hold one: the file /ran-as-code tells that it was loaded. It needs
// no library, so that it works in a root that has none.
#if defined(__x86_64__)
static long Call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

// creat(2)
__attribute__((constructor)) static void Loaded(void) { Call(85, (long)"/ran-as-code", 0644, 0); }
#endif

int gconv_init(void* step) { return 1; }
int gconv(void) { return 1; }
void gconv_end(void* step) {}
