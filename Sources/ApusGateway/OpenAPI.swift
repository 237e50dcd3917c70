/// What `GET /openapi.json` answers (OpenAPI Specification 3.1.0).
let openAPIDocument = "{}"
