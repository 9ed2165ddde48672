"""The tabs of the page, one module each: what the server answers as plain values, and what the browser draws."""
