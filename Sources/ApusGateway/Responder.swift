import Hummingbird
import HummingbirdCore

/// Answers what is no call of a model.
func makeResponder(_ frontend: Frontend) -> HTTP1Channel.Responder {
  let router = Router(context: GatewayContext.self, options: [.autoGenerateHeadEndpoints])
  router.add(middleware: ProblemMiddleware())
  StatusRoutes(frontend: frontend).add(to: router)
  InferenceRoutes(frontend: frontend).add(to: router)
  let responder = KnownMethods(router: router.buildResponder())
  return { request, writer, channel in
    let context = GatewayContext(source: ApplicationRequestContextSource(channel: channel, logger: .disabled))
    var response = try await responder.respond(to: request, context: context)
    var date = HTTPDate()
    response.headers[.date] = date.text
    try await writer.write(response: response.head, body: response.body)
  }
}
