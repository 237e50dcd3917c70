// A gRPC C++ server that classifies with an MLP, as one would write it from gRPC's own tutorial.
//
//   grpc_server sync|callback WEIGHTS ADDRESS      (ADDRESS as gRPC names it: unix:/path or host:port)
//
// gRPC's settings are its defaults. Run it with OPENBLAS_NUM_THREADS=1, as anyone who serves small models
// must: OpenBLAS starts its threads before main(). It serves until it is killed.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "classify.grpc.pb.h"
#include "mlp.h"

namespace {

grpc::Status classify(const Mlp &model, const baseline::ClassifyRequest &request,
                      baseline::ClassifyResponse *response) {
  if (request.inputs_size() != model.inputs())
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                        "the model takes " + std::to_string(model.inputs()) + " numbers");
  auto *probabilities = response->mutable_probabilities();
  probabilities->Resize(model.outputs(), 0);
  model.classify(request.inputs().data(), probabilities->mutable_data());
  return grpc::Status::OK;
}

class SyncService final : public baseline::Classifier::Service {
 public:
  explicit SyncService(const Mlp &model) : model_(model) {}
  grpc::Status Classify(grpc::ServerContext *, const baseline::ClassifyRequest *request,
                        baseline::ClassifyResponse *response) override {
    return classify(model_, *request, response);
  }

 private:
  const Mlp &model_;
};

class CallbackService final : public baseline::Classifier::CallbackService {
 public:
  explicit CallbackService(const Mlp &model) : model_(model) {}
  grpc::ServerUnaryReactor *Classify(grpc::CallbackServerContext *context,
                                     const baseline::ClassifyRequest *request,
                                     baseline::ClassifyResponse *response) override {
    auto *reactor = context->DefaultReactor();
    reactor->Finish(classify(model_, *request, response));
    return reactor;
  }

 private:
  const Mlp &model_;
};

}  // namespace

int main(int argc, char **argv) try {
  std::string mode = argc == 4 ? argv[1] : "";
  if (mode != "sync" && mode != "callback") {
    fprintf(stderr, "usage: grpc_server sync|callback WEIGHTS ADDRESS\n");
    return 2;
  }
  Mlp model(argv[2]);
  SyncService sync(model);
  CallbackService callback(model);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[3], grpc::InsecureServerCredentials());
  if (mode == "sync") builder.RegisterService(&sync);
  else builder.RegisterService(&callback);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) {
    fprintf(stderr, "grpc_server: cannot listen on %s\n", argv[3]);
    return 1;
  }
  server->Wait();
  return 0;
} catch (const std::exception &error) {
  fprintf(stderr, "grpc_server: %s\n", error.what());
  return 1;
}
