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
     "description": "The call's time was over before it began.",
     "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    }
   },
   "schemas": {
    "Nested": {
     "description": "Numbers or texts, nested in arrays as their shape is.",
     "anyOf": [
      {"type": "number"},
      {"type": "string"},
      {"type": "array", "items": {"$ref": "#/components/schemas/Nested"}}
     ]
    },
    "Classify": {
     "type": "object",
     "required": ["inputs"],
     "properties": {
      "inputs": {"$ref": "#/components/schemas/Nested"},
      "top_k": {
       "type": "integer",
       "minimum": 0,
       "maximum": 9007199254740992,
       "description": "So many classes of each row; 0: all."
      },
      "scores": {"type": "boolean", "description": "The model's raw outputs too."},
      "timeout_ms": {"type": "number", "description": "From the request's first byte; 0: no limit."}
     },
     "additionalProperties": false
    },
    "Text": {
     "type": "object",
     "required": ["text"],
     "properties": {"text": {"$ref": "#/components/schemas/Nested"}}
    },
    "Probabilities": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    "Classified": {
     "type": "object",
     "required": ["model", "version", "digest", "results", "timing_ns"],
     "properties": {
      "model": {"type": "string"},
      "version": {"type": "integer", "minimum": 0},
      "digest": {"type": "string"},
      "results": {
       "type": "array",
       "items": {
        "type": "object",
        "required": ["classes"],
        "properties": {
         "classes": {
          "type": "array",
          "items": {
           "type": "object",
           "required": ["index", "label", "probability"],
           "properties": {
            "index": {"type": "integer", "minimum": 0},
            "label": {"type": "string"},
            "probability": {"type": ["number", "null"]}
           }
          }
         },
         "scores": {"type": "array", "items": {"type": ["number", "null"]}}
        }
       }
      },
      "timing_ns": {
       "type": "object",
       "required": ["total", "queue", "compute"],
       "properties": {
        "total": {"type": "integer", "minimum": 0},
        "queue": {"type": "integer", "minimum": 0},
        "compute": {"type": "integer", "minimum": 0}
       }
      }
     }
    },
    "Models": {
     "type": "object",
     "required": ["models"],
     "properties": {
      "models": {
       "type": "array",
       "items": {
        "type": "object",
        "required": ["name", "version", "state", "reason", "format", "digest", "aliases"],
        "properties": {
         "name": {"type": "string"},
         "version": {"type": "integer", "minimum": 0},
         "state": {"type": "string"},
         "reason": {"type": "string"},
         "format": {"type": "string"},
         "digest": {"type": "string"},
         "aliases": {"type": "array", "items": {"type": "string"}}
        }
       }
      }
     }
    },
    "InferenceServer": {
     "type": "object",
     "required": ["name", "version", "extensions"],
     "properties": {
      "name": {"type": "string"},
      "version": {"type": "string"},
      "extensions": {"type": "array", "items": {"type": "string"}}
     }
    },
    "InferenceModel": {
     "type": "object",
     "required": ["name", "versions", "platform", "inputs", "outputs"],
     "properties": {
      "name": {"type": "string"},
      "versions": {"type": "array", "items": {"type": "string"}},
      "platform": {"type": "string"},
      "inputs": {
       "type": "array",
       "items": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
         "name": {"type": "string"},
         "datatype": {"type": "string"},
         "shape": {"type": "array", "items": {"type": "integer"}}
        }
       }
      },
      "outputs": {
       "type": "array",
       "items": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
         "name": {"type": "string"},
         "datatype": {"type": "string"},
         "shape": {"type": "array", "items": {"type": "integer"}}
        }
       }
      }
     }
    },
    "Inference": {
     "type": "object",
     "required": ["inputs"],
     "properties": {
      "id": {"type": "string"},
      "parameters": {
       "type": "object",
       "properties": {
        "binary_data_output": {"type": "boolean"},
        "timeout": {"type": "number", "description": "Microseconds."}
       }
      },
      "inputs": {
       "type": "array",
       "items": {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
         "name": {"enum": ["input", "text"]},
         "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 8},
         "datatype": {
          "enum": ["FP32", "BYTES"],
          "description": "BYTES are texts, for models that take them, of shape (n) or (n, 1)."
         },
         "data": {"$ref": "#/components/schemas/Nested"},
         "parameters": {
          "type": "object",
          "properties": {"binary_data_size": {"type": "integer", "minimum": 0}}
         }
        }
       },
       "minItems": 1,
       "maxItems": 1
      },
      "outputs": {
       "type": "array",
       "items": {
        "type": "object",
        "required": ["name"],
        "properties": {
         "name": {"enum": ["probabilities", "scores"]},
         "parameters": {
          "type": "object",
          "properties": {
           "binary_data": {"type": "boolean"},
           "classification": {"type": "integer", "minimum": 0}
          }
         }
        }
       },
       "maxItems": 64
      }
     }
    },
    "InferenceAnswer": {
     "type": "object",
     "required": ["model_name", "model_version", "outputs"],
     "properties": {
      "model_name": {"type": "string"},
      "model_version": {"type": "string"},
      "id": {"type": "string"},
      "outputs": {
       "type": "array",
       "items": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
         "name": {"type": "string"},
         "datatype": {"enum": ["FP32", "BYTES"]},
         "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
         "data": {"type": "array", "items": {"type": ["number", "string", "null"]}},
         "parameters": {
          "type": "object",
          "properties": {"binary_data_size": {"type": "integer", "minimum": 0}}
         }
        }
       }
      }
     }
    },
    "Problem": {
     "type": "object",
     "required": ["type", "title", "status", "detail", "code", "reason", "error"],
     "properties": {
      "type": {"type": "string"},
      "title": {"type": "string"},
      "status": {"type": "integer"},
      "detail": {"type": "string", "description": "What is wrong and what to do."},
      "code": {"type": "string", "description": "As RPC's status."},
      "reason": {"type": "string", "description": "For programs."},
      "error": {
       "type": "string",
       "description": "`detail` again, where clients of the Open Inference Protocol look."
      }
     }
    }
   }
  }
  """#
