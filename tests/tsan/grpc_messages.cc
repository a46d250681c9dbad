// Debian's gRPC is not built with ThreadSanitizer either, so what it carries from one thread to
// another looks like a race. In programs of the client, whose own code gRPC never calls, all that
// happens inside gRPC is left out.
extern "C" const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }

extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libgrpc.so\n"
         "called_from_lib:libgrpc++.so\n"
         "called_from_lib:libgpr.so\n"
         "race:grpc\n";
}
