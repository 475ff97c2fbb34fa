//! Versions, as far as decisions hang on them: Kubernetes' minor, a kernel's first two numbers.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// The first two numbers of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Version {
    /// 1 of `v1.36.3`, 5 of `5.15.0-91-generic`.
    pub major: u32,
    /// 36 of `v1.36.3`.
    pub minor: u32,
}

impl Version {
    /// A version.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that begins with no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` begins with no version, such as v1.36.3 or 6.1.0-18")]
pub struct NoVersion(pub String);

impl FromStr for Version {
    type Err = NoVersion;

    /// Reads `v1.36.3`, `1.36+`, `6.1.0-18-amd64`, `4.18.0-553.el8.x86_64`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |part: &str| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part.get(..end).and_then(|number| number.parse().ok())
        };
        let mut parts = text.trim().trim_start_matches('v').split('.');
        let mut version = || Some(Self { major: digits(parts.next()?)?, minor: digits(parts.next()?)? });
        version().ok_or_else(|| NoVersion(text.to_owned()))
    }
}

/// The version in an image's tag: `v1.36.3` of `registry.k8s.io/kube-proxy:v1.36.3@sha256:…`; nothing
/// where the image is another program's.
pub fn of_image(image: &str, programs: &[&str]) -> Option<String> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    let (name, tag) = name.split_once(':')?;
    let tag = programs.iter().any(|program| name.contains(program)).then_some(tag)?;
    tag.parse::<Version>().is_ok().then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kubernetes_and_of_kernels() {
        for (text, major, minor) in [
            ("v1.36.3", 1, 36),
            ("1.37+", 1, 37),
            ("v1.33.1+k3s1", 1, 33),
            ("4.18.0-553.el8.x86_64", 4, 18),
            ("6.1.0-18-amd64", 6, 1),
            ("v1.31-rc", 1, 31),
        ] {
            assert_eq!(text.parse(), Ok(Version::new(major, minor)), "{text}");
        }
        for text in ["", "latest", "v1", "1.x"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!(Version::new(5, 9) < Version::new(5, 13) && Version::new(6, 1) > Version::new(5, 13));
    }

    #[test]
    fn tags_of_images() {
        let of = |image| of_image(image, &["kube-proxy"]);
        assert_eq!(of("registry.k8s.io/kube-proxy:v1.36.3@sha256:ab").as_deref(), Some("v1.36.3"));
        assert_eq!(
            of("x.dkr.ecr.eu-west-1.amazonaws.com/eks/kube-proxy:v1.33.0-eksbuild.2").unwrap(),
            "v1.33.0-eksbuild.2"
        );
        for image in ["localhost:5000/kube-proxy", "localhost:5000/kube-proxy:latest", "registry.k8s.io/pause:3.10"] {
            assert_eq!(of(image), None, "{image}");
        }
    }
}
