import numpy as np

from ssnn.initialization import initial_network


def test_weights_are_drawn_in_the_article_s_order():
    generator = np.random.RandomState(561)
    W1, W2 = generator.randn(10, 784) * 0.01, generator.randn(1, 10) * 0.01
    network = initial_network((784, 10, 1), seed=561)
    np.testing.assert_array_equal(network[0].W, W1)
    np.testing.assert_array_equal(network[1].W, W2)
    assert [b.tolist() for _, b in network] == [[[0.0]] * 10, [[0.0]]]


def test_leaving_features_out_moves_no_weight():
    whole = initial_network((6, 3, 1), seed=1)
    part = initial_network((6, 3, 1), seed=1, features=np.array([0, 4, 5]))
    np.testing.assert_array_equal(part[0].W, whole[0].W[:, [0, 4, 5]])
    np.testing.assert_array_equal(part[1].W, whole[1].W)
