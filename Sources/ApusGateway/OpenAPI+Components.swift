/// What the routes share.
let openAPIComponents = #"""
  {
   "securitySchemes": {
    "token": {
     "type": "http",
     "scheme": "bearer",
     "description": "A token of `apus auth token create`, where the server has a policy."
    }
   },
   "parameters": {
    "model": {
     "name": "model",
     "in": "path",
     "required": true,
     "description": "The model's name.",
     "schema": {"type": "string", "minLength": 1},
     "example": "digits"
    },
    "version": {
     "name": "version",
     "in": "path",
     "required": true,
     "description": "A version, from 1 on.",
     "schema": {"type": "integer", "minimum": 1},
     "example": 1
    },
    "alias": {
     "name": "alias",
     "in": "path",
     "required": true,
     "description": "A name of a version.",
     "schema": {"type": "string", "minLength": 1},
     "example": "latest"
    },
    "routeKey": {
     "name": "Apus-Route-Key",
     "in": "header",
     "description": "While two versions share the calls, equal keys go to the same one.",
     "schema": {"type": "string"},
     "example": "customer-17"
    },
    "priority": {
     "name": "Apus-Priority",
     "in": "header",
     "description": "Where calls wait, batch ones wait for interactive ones. Without it, as the policy says.",
     "schema": {"type": "string", "enum": ["interactive", "batch"]},
     "example": "batch"
    }
   },
   "headers": {
    "Deprecation": {
     "description": "Since when the version is deprecated (RFC 9745), if that is known.",
     "schema": {"type": "string", "pattern": "^@[0-9]+$"},
     "example": "@1798761600"
    },
    "Apus-Deprecated": {
     "description": "Why callers should leave this version: a Display String (RFC 9651).",
     "schema": {"type": "string", "pattern": "^%\"([ !#$&-~]|%[0-9a-f]{2})*\"$"},
     "example": "%\"use 2 before May\""
    }
   },
   "examples": {
    "Classify": {
     "value": {
      "inputs": [
       [
        0, 0, 0.125, 0.8125, 1, 0.5625, 0, 0, 0, 0, 0.75, 0.75, 0.4375, 1, 0.1875, 0, 0, 0.0625,
        0.875, 0.1875, 0, 1, 0.25, 0, 0, 0, 0, 0.25, 0.625, 1, 0.375, 0, 0, 0, 0, 0.8125, 1, 1,
        0.5625, 0, 0, 0, 0, 0.3125, 0.8125, 0.0625, 0, 0, 0, 0, 0, 0.6875, 0.5625, 0, 0, 0, 0, 0,
        0.0625, 1, 0.25, 0, 0, 0
       ]
      ],
      "top_k": 3
     }
    },
    "Text": {
     "value": {
      "text": [
       [
        0, 0, 0.125, 0.8125, 1, 0.5625, 0, 0, 0, 0, 0.75, 0.75, 0.4375, 1, 0.1875, 0, 0, 0.0625,
        0.875, 0.1875, 0, 1, 0.25, 0, 0, 0, 0, 0.25, 0.625, 1, 0.375, 0, 0, 0, 0, 0.8125, 1, 1,
        0.5625, 0, 0, 0, 0, 0.3125, 0.8125, 0.0625, 0, 0, 0, 0, 0, 0.6875, 0.5625, 0, 0, 0, 0, 0,
        0.0625, 1, 0.25, 0, 0, 0
       ]
      ]
     }
    },
    "Inference": {
     "value": {
      "inputs": [
       {
        "name": "input",
        "shape": [1, 64],
        "datatype": "FP32",
        "data": [
         0, 0, 0.125, 0.8125, 1, 0.5625, 0, 0, 0, 0, 0.75, 0.75, 0.4375, 1, 0.1875, 0, 0, 0.0625,
         0.875, 0.1875, 0, 1, 0.25, 0, 0, 0, 0, 0.25, 0.625, 1, 0.375, 0, 0, 0, 0, 0.8125, 1, 1,
         0.5625, 0, 0, 0, 0, 0.3125, 0.8125, 0.0625, 0, 0, 0, 0, 0, 0.6875, 0.5625, 0, 0, 0, 0, 0,
         0.0625, 1, 0.25, 0, 0, 0
        ]
       }
      ]
     }
    },
    "InferenceOfTexts": {
     "value": {
      "inputs": [
       {
        "name": "text",
        "shape": [2],
        "datatype": "BYTES",
        "data": ["a lovely film, warm and funny", "dull, slow and far too long"]
       }
      ]
     }
    }
   },
   "responses": {
    "BadRequest": {
     "description": "The body is not what the model or this path takes.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "Unauthenticated": {
     "description": "There is no valid token.",
     "headers": {"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "Denied": {
     "description": "The caller may not do that, whether the model exists or not.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "NotFound": {
     "description": "There is no such model, version or alias.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "TooLong": {
     "description": "The body is over the limit of the server or the caller.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "Coded": {
     "description": "The body is compressed.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "Slow": {
     "description": "The request was not whole in its time.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "TooMany": {
     "description": "The caller is over its limits, or too many long bodies are on their way.",
     "headers": {
      "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
     },
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "Unavailable": {
     "description": "The model failed to load, or the server drains.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    },
    "Late": {
     "description": "The call's time was over before there could be an answer.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    }
   },
   "schemas": \#(openAPISchemas)
  }
  """#
