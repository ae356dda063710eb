//! One key or many, as callers have them.

/// Keys of limits: one text, or a list of them.
///
/// ```
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// client.concurrency("gpu");
/// client.concurrency(["gpu", "db"]);
/// client.concurrency(vec!["gpu".to_owned()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Keys {
    /// The keys, as written.
    ///
    /// ```
    /// use sluice::client::Keys as _;
    ///
    /// assert_eq!("gpu".keys(), ["gpu"]);
    /// assert_eq!(["gpu", "db"].keys(), ["gpu", "db"]);
    /// ```
    fn keys(self) -> Vec<String>;
}

impl Keys for &str {
    fn keys(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Keys for String {
    fn keys(self) -> Vec<String> {
        vec![self]
    }
}

impl<T: AsRef<str>, const N: usize> Keys for [T; N] {
    fn keys(self) -> Vec<String> {
        self.iter().map(|key| key.as_ref().to_owned()).collect()
    }
}

impl<T: AsRef<str>> Keys for &[T] {
    fn keys(self) -> Vec<String> {
        self.iter().map(|key| key.as_ref().to_owned()).collect()
    }
}

impl<T: AsRef<str>> Keys for &Vec<T> {
    fn keys(self) -> Vec<String> {
        self.as_slice().keys()
    }
}

impl<T: AsRef<str>> Keys for Vec<T> {
    fn keys(self) -> Vec<String> {
        self.as_slice().keys()
    }
}
