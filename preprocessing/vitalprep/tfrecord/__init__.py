"""The TFRecord file format: framing with checksums, `tf.train.Example` bytes, a strict reader."""
