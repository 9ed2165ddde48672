"""Parts of pictures: boxes worth searching for, and the places that make two pictures match."""
