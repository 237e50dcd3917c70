// A multi-layer perceptron over OpenBLAS: linear layers with ReLU between them and softmax at the end.
#pragma once

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

/// Read from a raw little-endian file: uint32 count of widths, that many uint32 widths, then for each layer
/// its float32 weights [outputs, inputs] and biases [outputs].
class Mlp {
 public:
  explicit Mlp(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot open " + path);
    uint32_t count = 0;
    read(file, &count, 1, path);
    if (count < 2 || count > 64) throw std::runtime_error(path + ": a model has 2 to 64 widths");
    widths_.resize(count);
    read(file, widths_.data(), count, path);
    for (uint32_t width : widths_)
      if (width == 0 || width > kMaxWidth) throw std::runtime_error(path + ": a width is out of range");
    for (size_t i = 1; i < count; i++) {
      Layer layer;
      layer.weights.resize(size_t{widths_[i]} * widths_[i - 1]);
      layer.biases.resize(widths_[i]);
      read(file, layer.weights.data(), layer.weights.size(), path);
      read(file, layer.biases.data(), layer.biases.size(), path);
      layers_.push_back(std::move(layer));
    }
  }

  int inputs() const { return static_cast<int>(widths_.front()); }
  int outputs() const { return static_cast<int>(widths_.back()); }

  /// Classifies one row: `x` holds `inputs()` numbers, `probabilities` has room for `outputs()`.
  void classify(const float *x, float *probabilities) const {
    float scratch[2][kMaxWidth];
    const float *input = x;
    for (size_t i = 0; i < layers_.size(); i++) {
      bool last = i + 1 == layers_.size();
      int columns = static_cast<int>(widths_[i]), rows = static_cast<int>(widths_[i + 1]);
      float *output = last ? probabilities : scratch[i % 2];
      std::copy(layers_[i].biases.begin(), layers_[i].biases.end(), output);
      cblas_sgemv(CblasRowMajor, CblasNoTrans, rows, columns, 1.0f, layers_[i].weights.data(), columns,
                  input, 1, 1.0f, output, 1);
      if (!last)
        for (int row = 0; row < rows; row++) output[row] = std::max(output[row], 0.0f);
      input = output;
    }
    softmax(probabilities, outputs());
  }

 private:
  static constexpr uint32_t kMaxWidth = 4096;
  struct Layer {
    std::vector<float> weights, biases;
  };
  std::vector<uint32_t> widths_;
  std::vector<Layer> layers_;

  static void softmax(float *values, int count) {
    float largest = *std::max_element(values, values + count), sum = 0;
    for (int i = 0; i < count; i++) sum += values[i] = std::exp(values[i] - largest);
    for (int i = 0; i < count; i++) values[i] /= sum;
  }

  template <typename T>
  static void read(std::ifstream &file, T *into, size_t count, const std::string &path) {
    if (!file.read(reinterpret_cast<char *>(into), static_cast<std::streamsize>(count * sizeof(T))))
      throw std::runtime_error(path + " ends too early");
  }
};
