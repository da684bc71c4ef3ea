"""TensorFlow's graphs and checkpoints, and what TensorFlow.js shares with them."""
