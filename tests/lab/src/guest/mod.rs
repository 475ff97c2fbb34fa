//! A node in a QEMU guest, for what this machine's kernel lacks.
