"""Knowledge -> network: maximum entropy around the declared numbers."""
