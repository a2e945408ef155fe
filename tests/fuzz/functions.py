"""The autograd.Functions of random programs, as text that a printed program repeats, and as the
reference sees them: name: (text, number of inputs and outputs, formula, which inputs fit)."""

FUNCTIONS = {
    "Twice": (
        """class Twice(autograd.Function):
    def forward(self, x):
        return x * 2

    def backward(self, dy):
        return dy * 2
""",
        (1, 1),
        lambda m, a: a * 2.0,
    ),
    "Sine": (
        """class Sine(autograd.Function):
    def forward(self, x):
        self.save_for_backward(x)
        return nd.sin(x)

    def backward(self, dy):
        (x,) = self.saved_tensors
        return dy * nd.cos(x)
""",
        (1, 1),
        lambda m, a: m.sin(a),
    ),
    "Logistic": (
        """class Logistic(autograd.Function):
    def forward(self, x):
        y = nd.sigmoid(x)
        self.save_for_backward(y)
        return y

    def backward(self, dy):
        (y,) = self.saved_tensors
        return dy * y * (1 - y)
""",
        (1, 1),
        lambda m, a: m.logistic(a),
    ),
    "Product": (
        """class Product(autograd.Function):
    def forward(self, x, y):
        self.save_for_backward(x, y)
        return x * y

    def backward(self, dz):
        x, y = self.saved_tensors
        return dz * y, dz * x
""",
        (2, 1),
        lambda m, a, b: m.mul(a, b),
    ),
    "SumAndProduct": (
        """class SumAndProduct(autograd.Function):
    def forward(self, x, y):
        self.save_for_backward(x, y)
        return x + y, x * y

    def backward(self, ds, dp):
        x, y = self.saved_tensors
        return ds + dp * y, ds + dp * x
""",
        (2, 2),
        lambda m, a, b: m.sum_and_product(a, b),
    ),
}
