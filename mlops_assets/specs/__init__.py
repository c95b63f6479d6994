"""What a team writes, loaded and judged with the line of every problem."""
