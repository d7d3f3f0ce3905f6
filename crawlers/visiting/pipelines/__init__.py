"""What happens to a page that was read: what was seen before is left out, the rest is published, and the page is done."""
