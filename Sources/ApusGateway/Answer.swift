import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTPTypes

/// An answer whose body is whole: to a call of a model, or a problem.
struct Answer {
  var status: HTTPResponse.Status
  var fields: HTTPFields
  var body: ByteBuffer

  static func json(_ text: JSONText) -> Answer {
    Answer(status: .ok, fields: [.contentType: "application/json"], body: text.buffer)
  }

  /// Hands on the parts of the answer.
  func write(_ hand: (HTTPResponsePart) -> Void) {
    var fields = fields
    fields[.contentLength] = String(body.readableBytes)
    hand(.head(HTTPResponse(status: status, headerFields: fields)))
    hand(.body(body))
    hand(.end(nil))
  }

  var response: Response {
    Response(status: status, headers: fields, body: ResponseBody(byteBuffer: body))
  }
}

extension Response {
  static func json(_ text: JSONText) -> Response { Answer.json(text).response }
}
