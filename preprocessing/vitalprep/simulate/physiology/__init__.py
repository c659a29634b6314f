"""Published models of the body: where drugs go, what they do, and how brain, heart and lungs answer."""
