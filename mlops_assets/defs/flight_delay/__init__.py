"""Late arrivals at New York's airports in 2013: real flights, real weather."""
