//! Container images, made by hand as docker-archive tars.

/// The image that holds a pod's namespaces.
pub const PAUSE: &str = "localhost/pause:1";
/// The image with busybox, curl and the tools that show a node's network.
pub const NETBOX: &str = "localhost/netbox:1";
