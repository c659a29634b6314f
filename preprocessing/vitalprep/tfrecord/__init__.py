"""The TFRecord file format: framing with checksums, encoding of `tf.train.Example`, a strict reader."""
