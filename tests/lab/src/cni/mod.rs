//! The network plugins: what each needs on the nodes, and when it is ready.
