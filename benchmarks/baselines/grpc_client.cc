// A gRPC C++ client that calls Classify and measures.
//
//   grpc_client lat ADDRESS INPUTS SECONDS                       one call at a time, synchronous stub
//   grpc_client thr ADDRESS INPUTS SECONDS INFLIGHT CHANNELS     asynchronous stub, completion queue
//   grpc_client first UNIX_PATH INPUTS                           one call, as soon as the socket listens
//
// INPUTS is how many random floats a request holds. `lat` and `thr` warm up for a tenth of SECONDS and print
// one line of JSON; "all_calls" counts the warm-up too, for whoever divides the server's CPU time by it.
// `first` prints when the server listened and when it answered, on CLOCK_MONOTONIC, so that whoever started
// the server can subtract.
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "classify.grpc.pb.h"

namespace {

using Clock = std::chrono::steady_clock;
using Stub = std::unique_ptr<baseline::Classifier::Stub>;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double cpu_seconds() {
  rusage r;
  getrusage(RUSAGE_SELF, &r);
  return double(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         double(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

std::vector<float> random_inputs(int count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> inputs(count);
  for (float &x : inputs) x = normal(generator);
  return inputs;
}

/// A channel with a connection of its own; by default gRPC would let all channels share one.
Stub connect(const std::string &address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt("grpc.use_local_subchannel_pool", 1);
  return baseline::Classifier::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

void require_ok(const grpc::Status &status) {
  if (!status.ok()) throw std::runtime_error("the call failed: " + status.error_message());
}

baseline::ClassifyResponse call(const Stub &stub, const std::vector<float> &inputs, bool wait = false) {
  grpc::ClientContext context;
  context.set_wait_for_ready(wait);
  baseline::ClassifyRequest request;
  request.mutable_inputs()->Add(inputs.begin(), inputs.end());
  baseline::ClassifyResponse response;
  require_ok(stub->Classify(&context, request, &response));
  return response;
}

/// The measured calls, and when measuring began.
struct Recorder {
  explicit Recorder(double seconds) : seconds(seconds) {}
  const double seconds;
  const Clock::time_point started = Clock::now();
  Clock::time_point measured_from;
  double cpu_before = 0;
  std::vector<double> micros;
  long all_calls = 0;

  /// Takes note of a call that has just ended; false when time is up.
  bool record(Clock::time_point sent) {
    all_calls++;
    if (cpu_before == 0) {
      if (seconds_since(started) >= seconds / 10) {
        cpu_before = cpu_seconds();
        measured_from = Clock::now();
      }
      return true;
    }
    micros.push_back(seconds_since(sent) * 1e6);
    return seconds_since(measured_from) < seconds;
  }

  void print(const std::string &mode, int in_flight, int channels) {
    double wall = seconds_since(measured_from), cpu = cpu_seconds() - cpu_before;
    if (micros.empty()) throw std::runtime_error("no call was measured; SECONDS is too short");
    std::sort(micros.begin(), micros.end());
    auto quantile = [&](double q) { return micros[size_t(q * double(micros.size() - 1))]; };
    printf("{\"mode\": \"%s\", \"in_flight\": %d, \"channels\": %d, \"calls\": %zu, \"all_calls\": %ld, "
           "\"seconds\": %.6f, \"calls_per_second\": %.1f, ",
           mode.c_str(), in_flight, channels, micros.size(), all_calls, wall, double(micros.size()) / wall);
    printf("\"latency_us\": {\"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}, "
           "\"client_cpu_seconds\": %.6f}\n",
           quantile(0.5), quantile(0.99), quantile(0.999), micros.back(), cpu);
  }
};

void measure_latency(const std::string &address, const std::vector<float> &inputs, double seconds) {
  Stub stub = connect(address);
  call(stub, inputs, true);
  Recorder recorder(seconds);
  Clock::time_point sent;
  do {
    sent = Clock::now();
    call(stub, inputs);
  } while (recorder.record(sent));
  recorder.print("lat", 1, 1);
}

/// One of the calls in flight; its address is the completion queue's tag.
struct Slot {
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<baseline::ClassifyResponse>> reader;
  baseline::ClassifyResponse response;
  grpc::Status status;
  Clock::time_point sent;
  baseline::Classifier::Stub *stub = nullptr;

  void start(const std::vector<float> &inputs, grpc::CompletionQueue *queue) {
    // The old reader refers to the old context's call, so it goes first.
    reader.reset();
    context = std::make_unique<grpc::ClientContext>();
    baseline::ClassifyRequest request;
    sent = Clock::now();
    request.mutable_inputs()->Add(inputs.begin(), inputs.end());
    reader = stub->AsyncClassify(context.get(), request, queue);
    reader->Finish(&response, &status, this);
  }
};

void measure_throughput(const std::string &address, const std::vector<float> &inputs, double seconds,
                        int in_flight, int channels) {
  std::vector<Stub> stubs;
  for (int i = 0; i < channels; i++) {
    stubs.push_back(connect(address));
    call(stubs.back(), inputs, true);
  }
  grpc::CompletionQueue queue;
  std::vector<Slot> slots(in_flight);
  for (int i = 0; i < in_flight; i++) {
    slots[i].stub = stubs[i % channels].get();
    slots[i].start(inputs, &queue);
  }
  Recorder recorder(seconds);
  void *tag;
  bool ok;
  bool running = true;
  for (int outstanding = in_flight; outstanding > 0 && queue.Next(&tag, &ok);) {
    auto *slot = static_cast<Slot *>(tag);
    require_ok(slot->status);
    if (running && !recorder.record(slot->sent)) {
      running = false;
      recorder.print("thr", in_flight, channels);
    }
    if (running) slot->start(inputs, &queue);
    else outstanding--;
  }
}

/// Waits until something listens on the Unix socket. gRPC itself would try once and then back off a second.
void wait_for_listener(const std::string &path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw std::runtime_error("the socket's path is too long");
  memcpy(address.sun_path, path.data(), path.size());
  for (Clock::time_point started = Clock::now(); seconds_since(started) < 20;) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) throw std::runtime_error("cannot make a socket");
    bool connected = ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
    close(fd);
    if (connected) return;
    usleep(200);
  }
  throw std::runtime_error("nothing listened on " + path + " within 20 seconds");
}

long long monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void measure_first(const std::string &path, const std::vector<float> &inputs) {
  // Start the library before the clock matters: it is the server's start that is measured.
  grpc::CompletionQueue started_early;
  printf("ready\n");
  fflush(stdout);
  wait_for_listener(path);
  long long listening = monotonic_ns();
  Stub stub = connect("unix:" + path);
  call(stub, inputs, true);
  printf("{\"listening_at_ns\": %lld, \"answered_at_ns\": %lld}\n", listening, monotonic_ns());
}

int usage() {
  fprintf(stderr, "usage: grpc_client lat ADDRESS INPUTS SECONDS\n"
                  "       grpc_client thr ADDRESS INPUTS SECONDS INFLIGHT CHANNELS\n"
                  "       grpc_client first UNIX_PATH INPUTS\n");
  return 2;
}

}  // namespace

int main(int argc, char **argv) try {
  std::string mode = argc > 1 ? argv[1] : "";
  int expected = mode == "lat" ? 5 : mode == "thr" ? 7 : mode == "first" ? 4 : 0;
  if (argc != expected) return usage();
  std::string address = argv[2];
  int count = atoi(argv[3]);
  double seconds = argc > 4 ? atof(argv[4]) : 0;
  int in_flight = argc > 5 ? atoi(argv[5]) : 1, channels = argc > 6 ? atoi(argv[6]) : 1;
  if (count < 1 || (mode != "first" && seconds <= 0) || in_flight < 1 || channels < 1) return usage();
  std::vector<float> inputs = random_inputs(count);
  if (mode == "lat") measure_latency(address, inputs, seconds);
  else if (mode == "thr") measure_throughput(address, inputs, seconds, in_flight, channels);
  else measure_first(address, inputs);
  return 0;
} catch (const std::exception &error) {
  fprintf(stderr, "grpc_client: %s\n", error.what());
  return 1;
}
