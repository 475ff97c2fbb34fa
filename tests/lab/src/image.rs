//! Container images, made by hand as docker-archive tars.
