//! What goes along with work to another thread: the tracing span, and values by their type.
//!
//! Never carries a [`Cancel`](super::Cancel): that is inherited by calls only, so that what is handed
//! over and forgotten is not cancelled with whoever forgot it.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use tracing::{Dispatch, Span, dispatcher, subscriber::NoSubscriber};

/// One value for each type: there are never more than the program has types for it.
type Values = Arc<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>;

thread_local! {
    static VALUES: RefCell<Option<Values>> = const { RefCell::new(None) };
}

/// The tracing span (with its subscriber) and the registered values of a piece of work.
///
/// [`call`](super::call), [`Job::new`](super::Job::new) and [`IoThread::spawn`](super::IoThread::spawn)
/// take it along by themselves.
///
/// ```
/// use sluice::bridge::{io_thread, Context};
///
/// #[derive(Debug, PartialEq)]
/// struct Tenant(&'static str);
///
/// let seen = Context::current().with(Tenant("blue")).run(|| {
///     io_thread().run(async { Context::current().value::<Tenant>() })
/// });
/// assert_eq!(seen?.as_deref(), Some(&Tenant("blue")));
/// # Ok::<(), sluice::bridge::CallError>(())
/// ```
#[derive(Clone)]
pub struct Context {
    span: Span,
    /// A span is seen by its own subscriber only; absent where there is none.
    dispatch: Option<Dispatch>,
    values: Option<Values>,
}

impl Context {
    /// The context of the code that is running now.
    ///
    /// ```
    /// use sluice::bridge::Context;
    ///
    /// let context = Context::current();
    /// assert_eq!(context.value::<u8>(), None);
    /// ```
    pub fn current() -> Context {
        let dispatch = dispatcher::get_default(Dispatch::clone);
        Context {
            span: Span::current(),
            dispatch: (!dispatch.is::<NoSubscriber>()).then_some(dispatch),
            values: VALUES
                .try_with(|values| values.borrow().clone())
                .unwrap_or_default(),
        }
    }

    /// The same context with one more value; it replaces one of the same type.
    ///
    /// ```
    /// use sluice::bridge::Context;
    ///
    /// let context = Context::current().with("run 7");
    /// assert_eq!(context.value::<&str>().as_deref(), Some(&"run 7"));
    /// ```
    #[must_use]
    pub fn with<V: Send + Sync + 'static>(mut self, value: V) -> Context {
        let values = self.values.get_or_insert_default();
        Arc::make_mut(values).insert(TypeId::of::<V>(), Arc::new(value));
        self
    }

    /// The value of this type, if one was registered.
    ///
    /// ```
    /// use sluice::bridge::Context;
    ///
    /// let context = Context::current().with(7_u64);
    /// assert_eq!(context.value::<u64>().as_deref(), Some(&7));
    /// ```
    pub fn value<V: Send + Sync + 'static>(&self) -> Option<Arc<V>> {
        let value = self.values.as_ref()?.get(&TypeId::of::<V>())?;
        Arc::clone(value).downcast().ok()
    }

    /// Runs a closure in this context.
    ///
    /// ```
    /// use sluice::bridge::Context;
    ///
    /// let context = Context::current().with(7_u8);
    /// let seen = std::thread::spawn(move || context.run(|| Context::current().value::<u8>()));
    /// assert_eq!(seen.join().ok().flatten().as_deref(), Some(&7));
    /// ```
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        let _before = Before::replace(self.values.clone());
        let body = || self.span.in_scope(body);
        match &self.dispatch {
            Some(dispatch) => dispatcher::with_default(dispatch, body),
            None => body(),
        }
    }

    /// Polls, and drops, a future in this context.
    ///
    /// ```
    /// use sluice::bridge::Context;
    ///
    /// let future = async { Context::current().value::<u8>() };
    /// let future = Context::current().with(7_u8).wrap(future);
    /// assert_eq!(futures::executor::block_on(future).as_deref(), Some(&7));
    /// ```
    pub fn wrap<F: Future>(self, future: F) -> InContext<F> {
        InContext {
            context: self,
            future: Some(Box::pin(future)),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("span", &self.span)
            .field(
                "values",
                &self.values.as_ref().map_or(0, |values| values.len()),
            )
            .finish_non_exhaustive()
    }
}

/// Puts the values of the thread back when dropped, on a panic as well.
struct Before(Option<Values>);

impl Before {
    fn replace(values: Option<Values>) -> Before {
        // A thread that is ending has no values any more, and gets none.
        Before(
            VALUES
                .try_with(|place| place.replace(values))
                .unwrap_or_default(),
        )
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        let before = self.0.take();
        // What was there is dropped outside the borrow: its destructor may ask for the context.
        let _during = VALUES.try_with(|place| place.replace(before));
    }
}

/// A future in a context: see [`Context::wrap`].
///
/// ```
/// use sluice::bridge::Context;
///
/// let context = Context::current().with(7_u64);
/// let inside = context.wrap(async { Context::current().value::<u64>() });
/// assert_eq!(futures::executor::block_on(inside).as_deref(), Some(&7));
/// ```
#[must_use = "a future does nothing until it is awaited"]
pub struct InContext<F> {
    context: Context,
    /// Absent after the end only.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let InContext { context, future } = &mut *self;
        context.run(|| {
            let Some(running) = future else {
                return Poll::Pending;
            };
            let polled = running.as_mut().poll(task);
            if polled.is_ready() {
                *future = None;
            }
            polled
        })
    }
}

impl<F> Drop for InContext<F> {
    fn drop(&mut self) {
        let InContext { context, future } = self;
        context.run(|| *future = None);
    }
}

impl<F> fmt::Debug for InContext<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InContext")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
